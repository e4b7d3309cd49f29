//! Whatever else answers at a Photon's address.

use std::time::Duration;

use provision::{
    device::{Manner, Patience, SetupDevice},
    model::{Failure, FailureCode},
    sim::photon::SimPhoton,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};

use crate::lab::{ID, WIRES, Wire, among, code, device_at, guarded, quiet, shared};

/// Gives everybody these answers in turn, a request each; the last one again and again, until nobody
/// listens any more where it has `endless` to say.
async fn server(answers: Vec<Vec<u8>>, endless: Option<&'static [u8]>) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let task = tokio::spawn(async move {
        let mut answers = answers.into_iter().peekable();
        let mut last = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            last = answers.next().unwrap_or(last);
            let mut sent = stream.write_all(&last).await;
            while let (Some(more), Ok(())) = (endless, &sent) {
                sent = stream.write_all(more).await;
            }
        }
    });
    (address, task)
}

fn at(wire: Wire, address: &str) -> String {
    match wire {
        Wire::Http => address.to_owned(),
        Wire::Tcp => format!("tcp://{address}"),
    }
}

fn hurried() -> Patience {
    Patience { answer: Duration::from_millis(50), wifi: Duration::from_millis(50), ..Patience::default() }
}

async fn hail(target: &str, patience: Patience) -> Failure {
    guarded(device_at(target, patience).reach(Manner::LookOnly, &quiet)).await.unwrap_err()
}

fn http(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn tcp(body: &[u8]) -> Vec<u8> {
    [b"\n\n", body].concat()
}

#[tokio::test]
async fn answers_without_sense_are_told_to_be_unusable() {
    let long = format!(r#"{{"id":"{}","c":"0"}}"#, "a".repeat(100_000)).into_bytes();
    let bodies: Vec<&[u8]> = vec![
        b"",
        b"{",
        b"null",
        b"[]",
        b"\"id\"",
        b"{}",
        br#"{"id":5,"c":"0"}"#,
        br#"{"id":"not an id","c":"0"}"#,
        br#"{"id":["3b0021001747353236343033"]}"#,
        b"{\"id\":\"\xff\xfe\",\"c\":\"0\"}",
        b"\x00\xff\xc3\x28",
        &long,
    ];
    for body in bodies {
        for (wire, answer) in [(Wire::Http, http(body)), (Wire::Tcp, tcp(body))] {
            let (address, server) = server(vec![answer], None).await;
            let failure = hail(&at(wire, &address), Patience::default()).await;
            let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
            assert_eq!(failure.code, FailureCode::NoAnswer, "{wire:?} {shown}: {failure}");
            assert!(failure.detail.contains("no answer that can be used"), "{wire:?} {shown}: {failure}");
            server.abort();
        }
    }
}

#[tokio::test]
async fn answers_of_something_that_is_no_photon_are_told_to_be_unusable() {
    let answers: [&[u8]; 13] = [
        b"",
        b"\xff\xfe\xfd",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://portal.example/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 500 Internal Server Error\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffff\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"id\":\"3b00",
    ];
    for answer in answers {
        for wire in WIRES {
            let (address, server) = server(vec![answer.to_vec()], None).await;
            let failure = hail(&at(wire, &address), Patience::default()).await;
            let shown = String::from_utf8_lossy(answer);
            assert_eq!(failure.code, FailureCode::NoAnswer, "{wire:?} {shown}: {failure}");
            server.abort();
        }
    }
}

#[tokio::test]
async fn answers_without_an_end_are_not_read_to_it() {
    let beginnings: [(Wire, &[u8], &'static [u8]); 6] = [
        (Wire::Http, b"HTTP/1.1 200 OK\r\n\r\n", b"{\"id\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        (Wire::Http, b"HTTP/1.1 200 OK\r\n", b"X-More: of it\r\n"),
        (Wire::Http, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
        (Wire::Http, b"", b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        (Wire::Tcp, b"\n\n", b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        (Wire::Tcp, b"", b"\xff\xff\xff\xff\xff\xff"),
    ];
    for (wire, beginning, endless) in beginnings {
        let (address, server) = server(vec![beginning.to_vec()], Some(endless)).await;
        let patience = Patience { answer: Duration::from_secs(100), ..Patience::default() };
        let failure = hail(&at(wire, &address), patience).await;
        assert_eq!(failure.code, FailureCode::NoAnswer, "{wire:?} {}", String::from_utf8_lossy(endless));
        server.abort();
    }
}

#[tokio::test]
async fn silence_is_waited_for_only_so_long() {
    for wire in WIRES {
        // The system takes the connection, and nobody ever looks at it.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = at(wire, &listener.local_addr().unwrap().to_string());
        let failure = hail(&target, hurried()).await;
        assert_eq!(failure.code, FailureCode::NoAnswer, "{wire:?} {failure}");
    }
}

#[tokio::test]
async fn an_address_where_nobody_is_is_told_to_be_no_photons() {
    for wire in WIRES {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = at(wire, &listener.local_addr().unwrap().to_string());
        drop(listener);
        let failure = hail(&target, Patience::default()).await;
        assert_eq!(failure.code, FailureCode::NotListening, "{wire:?} {failure}");
        assert!(failure.detail.contains("no Photon answers"), "{failure}");
    }
}

#[tokio::test]
async fn a_key_that_cannot_be_used_gets_nothing_secret() {
    let keys: [&[u8]; 6] = [
        b"{}",
        br#"{"b":"","r":0}"#,
        br#"{"b":"zz","r":0}"#,
        br#"{"b":"30819F300D06","r":0}"#,
        br#"{"b":5,"r":0}"#,
        br#"{"b":"30","r":-1}"#,
    ];
    for key in keys {
        let id = http(format!(r#"{{"id":"{ID}","c":"0"}}"#).as_bytes());
        let (address, server) = server(vec![id, http(key)], None).await;
        let mut device = device_at(&address, Patience::default());
        guarded(device.reach(Manner::Touch, &quiet)).await.unwrap();
        let wifi = shared("Home", "WPA2_AES", "correct horse");
        let failure = guarded(device.set_wifi(&wifi, &quiet)).await.unwrap_err();
        assert_eq!(failure.code, FailureCode::NoAnswer, "{failure}");
        assert!(!format!("{failure} {failure:?}").contains("correct horse"));
        server.abort();
    }
}

#[tokio::test]
async fn a_code_whose_answer_is_lost_is_not_said_to_have_arrived() {
    for fault in ["softap-reset:set", "softap-garbage:set", "softap-endless:set"] {
        for wire in WIRES {
            let mut config = among(&[]);
            config.faults = vec![format!("{fault}x9").parse().unwrap()];
            let photon = SimPhoton::start(config).unwrap();
            let mut device = device_at(&wire.target(&photon), hurried_to_answer());
            guarded(device.reach(Manner::Touch, &quiet)).await.unwrap();
            let failure = guarded(device.set_claim_code(&code(), &quiet)).await.unwrap_err();
            assert_eq!(failure.code, FailureCode::NoAnswer, "{fault} {wire:?}");
        }
    }
}

/// Enough for a simulator under load, and little enough to wait for.
fn hurried_to_answer() -> Patience {
    Patience { answer: Duration::from_secs(2), ..Patience::default() }
}
