//! Doors to the simulators: open or shut, as this computer is on their network or not.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A way to an address, on which is written down what goes through.
pub struct Door {
    pub address: SocketAddr,
    knocks: Arc<AtomicUsize>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Door {
    /// One that is open when this says so; that is asked whenever something is to go through.
    pub async fn new(to: SocketAddr, is_open: impl Fn() -> bool + Clone + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (knocks, asked) = (Arc::<AtomicUsize>::default(), Arc::<Mutex<Vec<String>>>::default());
        let (knocked, told) = (knocks.clone(), asked.clone());
        tokio::spawn(async move {
            let is_open = move || {
                let open = is_open();
                knocked.fetch_add(usize::from(!open), Ordering::Relaxed);
                open
            };
            while let Ok((client, _)) = listener.accept().await {
                if is_open() {
                    tokio::spawn(carry(client, to, is_open.clone(), told.clone()));
                }
            }
        });
        Self { address, knocks, asked }
    }

    /// How often somebody came while it was shut.
    pub fn knocks(&self) -> usize {
        self.knocks.load(Ordering::Relaxed)
    }

    /// What was asked through it: the last part of HTTP's path, or TCP's first line.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// Both ways, for as long as the door is open when something is said.
async fn carry(
    mut client: TcpStream,
    to: SocketAddr,
    is_open: impl Fn() -> bool,
    told: Arc<Mutex<Vec<String>>>,
) {
    let Ok(mut server) = TcpStream::connect(to).await else { return };
    // What the program sends in one segment has to arrive so.
    server.set_nodelay(true).unwrap();
    let (mut asked, mut answered) = ([0; 16384], [0; 16384]);
    let mut first = true;
    loop {
        tokio::select! {
            count = client.read(&mut asked) => match count {
                Ok(count @ 1..) if is_open() => {
                    let line = asked[..count].split(|&byte| byte == b'\n').next().unwrap_or_default();
                    let line = String::from_utf8_lossy(line).trim_end().to_owned();
                    match line.strip_suffix(" HTTP/1.1").map(|start| start.rsplit('/').next()) {
                        Some(Some(name)) => told.lock().unwrap().push(name.to_owned()),
                        _ if first => told.lock().unwrap().push(line),
                        // The rest of a body.
                        _ => {}
                    }
                    first = false;
                    if server.write_all(&asked[..count]).await.is_err() { return }
                }
                _ => return,
            },
            count = server.read(&mut answered) => match count {
                Ok(count @ 1..) => if client.write_all(&answered[..count]).await.is_err() { return },
                _ => return,
            },
        }
    }
}
