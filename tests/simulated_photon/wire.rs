//! A client that knows nothing but bytes.

use std::{future::Future, path::Path, time::Duration};

use provision::{
    model::DeviceId,
    sim::photon::{PhotonConfig, SimPhoton},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_serial::{SerialPortBuilderExt, SerialStream};

pub const ID: &str = "3b0021001747353236343033";
pub const CODE: &str = "3GjxEdDu3eIWEs5C9WMun5etWsIC7KreXXHQ2JXAfBorHv+t26F04cFObo/FsL5";
pub const RECOVERY: &str = "\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\
     \x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\
     \x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\r";
pub const SORRY: &str = "\r\nSorry, claim code is not 63 characters long. Claim code unchanged.\r\n";
pub const DERP: &str = "\r\nThanks! Wait while I save those credentials...\r\n\r\nDerp. Sorry, we couldn't save \
                        the credentials.\r\n\r\n";

/// Only there so that a test that fails ends.
pub async fn guarded<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), what).await.expect("within the guard's time")
}

/// A listening 2.3.1 that never comes back to listening by itself.
pub fn photon() -> PhotonConfig {
    PhotonConfig {
        relisten_delay: Duration::from_secs(86_400),
        ..PhotonConfig::new(DeviceId::parse(ID).unwrap())
    }
}

pub fn start(config: PhotonConfig) -> (SimPhoton, Wire) {
    let photon = SimPhoton::start(config).unwrap();
    let wire = Wire::open(&photon.usb(), 9600);
    (photon, wire)
}

fn show(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

pub struct Wire(SerialStream);

impl Wire {
    pub fn open(path: &Path, baud: u32) -> Self {
        Self(tokio_serial::new(path.to_str().unwrap(), baud).open_native_async().unwrap())
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        guarded(self.0.write_all(bytes.as_ref())).await.unwrap();
    }

    /// Exactly these bytes come next.
    pub async fn expect(&mut self, bytes: impl AsRef<[u8]>) {
        let expected = bytes.as_ref();
        let mut got = Vec::new();
        while got.len() < expected.len() && expected.starts_with(&got) {
            let mut part = vec![0; expected.len() - got.len()];
            match tokio::time::timeout(Duration::from_secs(30), self.0.read(&mut part)).await {
                Ok(Ok(count)) if count > 0 => got.extend(&part[..count]),
                other => panic!("{other:?} after {:?}, not {:?}", show(&got), show(expected)),
            }
        }
        assert_eq!(show(&got), show(expected));
    }

    /// Writes, and exactly this comes back.
    pub async fn ask(&mut self, sent: impl AsRef<[u8]>, expected: impl AsRef<[u8]>) {
        self.send(sent).await;
        self.expect(expected).await;
    }

    /// The board is idle, and nothing else has come.
    pub async fn is_idle(&mut self) {
        self.ask("i", format!("Your device id is {ID}\r\n")).await;
    }

    /// Everything up to and with these bytes.
    pub async fn read_to(&mut self, end: impl AsRef<[u8]>) -> Vec<u8> {
        let mut got = Vec::new();
        while !got.ends_with(end.as_ref()) {
            got.push(guarded(self.0.read_u8()).await.unwrap());
        }
        got
    }

    /// Reads until the port has vanished. What was unread then may be lost with it.
    pub async fn is_gone(&mut self) {
        while guarded(self.0.read_u8()).await.is_ok() {}
    }
}
