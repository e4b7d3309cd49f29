//! The network between the program and a PostgreSQL server: it can be pulled, cut, and lose an answer.

use std::{path::PathBuf, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
    sync::{oneshot, watch},
};

/// A TCP port that leads to a server's socket.
pub struct Cable {
    port: u16,
    line: Arc<watch::Sender<Line>>,
    _life: oneshot::Sender<()>,
}

#[derive(Clone, Copy)]
struct Line {
    passes: bool,
    /// How many connections there have been.
    connections: u64,
    /// So many of the first of them will never carry anything again.
    forgotten: u64,
    /// So many of the first of them are closed.
    cut: u64,
    /// The answer to the next COMMIT is lost.
    loses_answer: bool,
}

impl Cable {
    pub fn to(socket: PathBuf) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let line = Line { passes: true, connections: 0, forgotten: 0, cut: 0, loses_answer: false };
        let line = Arc::new(watch::Sender::new(line));
        // A thread of its own, so that a test which blocks does not hold it up.
        let (life, ends) = oneshot::channel::<()>();
        let served = line.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listener, socket, served) => {}
                    _ = ends => {}
                }
            });
        });
        Self { port, line, _life: life }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on nothing arrives, on either side, and nobody is told: also not who connects anew.
    pub fn pull(&self) {
        self.line.send_modify(|line| line.passes = false);
    }

    /// What was held up arrives after all.
    pub fn put_back(&self) {
        self.line.send_modify(|line| line.passes = true);
    }

    /// Connections of before stay silent for ever, as when a firewall has forgotten them meanwhile.
    pub fn put_back_for_new_ones(&self) {
        self.line.send_modify(|line| (line.passes, line.forgotten) = (true, line.connections));
    }

    /// Every connection is closed.
    pub fn cut(&self) {
        self.line.send_modify(|line| line.cut = line.connections);
    }

    /// Lets the next COMMIT be done, loses the answer and its connection, and is pulled until it is put back.
    pub fn lose_answer(&self) {
        self.line.send_modify(|line| line.loses_answer = true);
    }

    /// Waits until that has happened.
    pub async fn answer_is_lost(&self) {
        let mut line = self.line.subscribe();
        line.wait_for(|line| !line.loses_answer && !line.passes).await.unwrap();
    }
}

async fn serve(listener: std::net::TcpListener, socket: PathBuf, line: Arc<watch::Sender<Line>>) {
    let listener = TcpListener::from_std(listener).unwrap();
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let number = line.borrow().connections;
        line.send_modify(|line| line.connections += 1);
        let (socket, line) = (socket.clone(), line.clone());
        tokio::spawn(async move {
            let mut end = line.subscribe();
            tokio::select! {
                _ = carry(client, socket, number, &line) => {}
                _ = end.wait_for(|line| number < line.cut) => {}
            }
        });
    }
}

async fn carry(
    client: TcpStream,
    socket: PathBuf,
    number: u64,
    line: &watch::Sender<Line>,
) -> std::io::Result<()> {
    passes(line, number).await;
    let server = UnixStream::connect(socket).await?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // Whether the next that the server says is lost.
    let lost = watch::Sender::new(false);
    let up = pump(from_client, to_server, line, number, |said| {
        if said.windows(7).any(|word| word == b"COMMIT\0") && line.borrow().loses_answer {
            lost.send_replace(true);
        }
        true
    });
    let down = pump(from_server, to_client, line, number, |_| {
        if *lost.borrow() {
            line.send_modify(|line| (line.loses_answer, line.passes) = (false, false));
        }
        !*lost.borrow()
    });
    tokio::select! { ended = up => ended, ended = down => ended }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    line: &watch::Sender<Line>,
    number: u64,
    mut goes_on: impl FnMut(&[u8]) -> bool,
) -> std::io::Result<()> {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut bytes).await?;
        passes(line, number).await;
        if read == 0 || !goes_on(&bytes[..read]) {
            return Ok(());
        }
        to.write_all(&bytes[..read]).await?;
    }
}

async fn passes(line: &watch::Sender<Line>, number: u64) {
    let _ = line.subscribe().wait_for(|line| line.passes && number >= line.forgotten).await;
}
