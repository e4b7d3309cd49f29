//! TLS, HTTP/2 and proxies, traces of requests, and answers of any shape.

use std::sync::{Arc, Mutex};

use provision::sim::{
    cloud::{Certificate, CloudConfig},
    photon::PhotonConfig,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

use crate::bench::{
    ASK_PRODUCT, Bench, CLAIM_CODE, CREATE_CUSTOMER, IMPORT, SIGN_IN, STREAM, all, is_online,
};

async fn with_tls(certificate: Certificate) -> Bench {
    Bench::with(CloudConfig { tls: Some(certificate), ..CloudConfig::default() }).await
}

#[tokio::test]
async fn a_whole_run_over_tls_takes_one_http_2_connection() {
    let bench = with_tls(Certificate::Good).await;
    let board = bench.plug(bench.board());
    bench.run(&board).ended().await.passes();
    bench.holds_one_claim();
    is_online(&board).await;
    let asked = bench.cloud.requests();
    assert!(asked.len() > 5 && asked.iter().all(|r| (r.http, r.connection) == ("2", 1)), "{asked:#?}");
    assert_eq!(bench.cloud.connections(), 1);
}

#[tokio::test]
async fn faults_are_lived_through_over_tls_as_well() {
    for fault in ["dropx1", "drop-afterx1", "truncatex1", "503x1"] {
        let bench = with_tls(Certificate::Good).await;
        bench.cloud.add_fault(format!("{SIGN_IN}={fault}").parse().unwrap());
        let board = bench.plug(bench.board());
        bench.run(&board).ended().await.passes();
        bench.holds_one_claim();
    }
}

#[tokio::test]
async fn a_server_that_cannot_prove_who_it_is_is_asked_nothing_and_only_once() {
    for (certificate, trusted, why) in [
        (Certificate::Good, false, "is signed by nobody whom this computer trusts"),
        (Certificate::Expired, true, "has expired, or this computer's clock is wrong"),
        (Certificate::OfAnotherHost, true, "is for another host"),
    ] {
        let bench = with_tls(certificate).await;
        let board = bench.plug(bench.board());
        let run = bench.run(&board);
        let run = if trusted { run } else { run.without("PROVISION_CA_FILE") };
        let ended = run.ended().await.fails_with(22, "not-secure").saying(why);
        let again =
            |e: &serde_json::Value| e["note"].as_str().is_some_and(|note| note.contains("trying again"));
        assert!(!ended.events.iter().any(again), "{ended:?}");
        assert_eq!(bench.cloud.requests(), []);
        assert_eq!(board.effects(), []);
    }
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls_is_told() {
    let bench = Bench::new().await;
    let board = bench.plug(bench.board());
    let url = bench.info.api_url.replace("http:", "https:");
    let run = bench.run(&board).env("PARTICLE_API_URL", url);
    run.ended().await.fails_with(22, "not-secure").saying("the server does not speak TLS");
}

/// A proxy that knows one way only: to the simulated cloud, whatever host it is asked for.
struct Proxy {
    address: String,
    /// The heads of the requests that it got.
    heard: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// With an answer of its own it makes no connection.
    async fn start(bench: &Bench, refusal: Option<&'static str>) -> Self {
        let cloud = bench.info.api_url.strip_prefix("https://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let hears = heard.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (cloud, hears) = (cloud.clone(), hears.clone());
                tokio::spawn(async move {
                    let mut client = BufReader::new(client);
                    let mut head = String::new();
                    while !head.ends_with("\r\n\r\n") && client.read_line(&mut head).await? > 0 {}
                    hears.lock().unwrap().push(head);
                    if let Some(refusal) = refusal {
                        return client.write_all(refusal.as_bytes()).await;
                    }
                    let mut cloud = TcpStream::connect(cloud).await?;
                    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
                    copy_bidirectional(&mut client, &mut cloud).await.map(drop)
                });
            }
        });
        Self { address, heard }
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

/// The cloud under a name that only a proxy can find.
fn hidden_url(bench: &Bench) -> String {
    bench.info.api_url.replace("127.0.0.1", "cloud.simulated.example")
}

const PASSWORD: &str = "pr0xy+pass&word";
const PASSWORD_IN_URL: &str = "pr0xy%2Bpass%26word";
/// `ann:` and the password.
const BASIC: &str = "YW5uOnByMHh5K3Bhc3Mmd29yZA==";

#[tokio::test]
async fn a_proxy_is_asked_for_a_tunnel_and_tls_goes_through_it() {
    let bench = with_tls(Certificate::Good).await;
    let proxy = Proxy::start(&bench, None).await;
    let board = bench.plug(bench.board());
    let url = hidden_url(&bench);
    let run = bench.run(&board).env("PARTICLE_API_URL", &url).with(&["-vvv"]).env("RUST_LOG", "trace");
    let ended = run
        .env("HTTPS_PROXY", format!("http://ann:{PASSWORD_IN_URL}@{}", proxy.address))
        .ended()
        .await
        .passes();
    bench.holds_one_claim();
    let heard = proxy.heard();
    let host = url.strip_prefix("https://").unwrap();
    for head in &heard {
        assert!(head.starts_with(&format!("CONNECT {host} HTTP/1.1\r\n")), "{head}");
        assert!(
            head.to_lowercase().contains(&format!("proxy-authorization: basic {}", BASIC.to_lowercase()))
        );
    }
    assert!(!heard.is_empty());
    assert_eq!(bench.cloud.connections(), 1);
    for secret in [PASSWORD, PASSWORD_IN_URL, BASIC] {
        assert!(
            !ended.stderr.contains(secret) && !ended.stdout.contains(secret),
            "{secret}: {}",
            ended.stderr
        );
    }
}

#[tokio::test]
async fn a_proxy_that_wants_a_password_is_told_apart_and_not_asked_again() {
    let bench = with_tls(Certificate::Good).await;
    let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 4\r\n\r\n<br>";
    let proxy = Proxy::start(&bench, Some(refusal)).await;
    let board = bench.plug(bench.board());
    let run = bench.run(&board).env("PARTICLE_API_URL", hidden_url(&bench));
    let ended =
        run.env("HTTPS_PROXY", format!("http://ann:{PASSWORD_IN_URL}@{}", proxy.address)).ended().await;
    let ended =
        ended.fails_with(22, "cloud-unreachable").saying("the proxy wants a user name and a password");
    assert!(!format!("{ended:?}").contains("pr0xy"), "{ended:?}");
    assert_eq!(bench.cloud.requests(), []);
}

#[tokio::test]
async fn a_proxy_that_answers_with_a_page_of_its_own_is_asked_again_and_named() {
    let bench = with_tls(Certificate::Good).await;
    let page = "<html><title>Blocked</title></html>";
    for refusal in ["HTTP/1.1 502 Bad Gateway", "HTTP/1.1 403 Forbidden", "<!doctype html>"] {
        let refusal = format!("{refusal}\r\ncontent-type: text/html\r\ncontent-length: 35\r\n\r\n{page}");
        let proxy = Proxy::start(&bench, Some(refusal.leak())).await;
        let board = bench.plug(bench.board());
        let run = bench.run(&board).env("PARTICLE_API_URL", hidden_url(&bench));
        let mut run = run.env("https_proxy", &proxy.address).start();
        let note = run.reaches("step-note", "sign-in").await;
        assert!(note["note"].as_str().unwrap().contains("the proxy did not make one"), "{note}");
        run.kill().await;
    }
}

#[tokio::test]
async fn a_proxy_that_nobody_answers_at_is_named_and_no_board_is_looked_for_there() {
    let bench = with_tls(Certificate::Good).await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let here = Some(([127, 0, 0, 1], 0).into());
    let photon = bench.plug(PhotonConfig { softap_http: here, ..bench.board() });
    let proxied = |run: crate::bench::Run| {
        let variables = ["HTTPS_PROXY", "HTTP_PROXY", "http_proxy", "ALL_PROXY"];
        variables.iter().fold(run, |run, name| run.env(name, format!("http://{free}")))
    };
    let board = photon.softap_http().unwrap().to_string();
    proxied(bench.provision().with(&["identify", "--softap", &board])).ended().await.passes();
    let run = proxied(bench.run(&photon)).env("PARTICLE_API_URL", hidden_url(&bench));
    let mut run = run.start();
    let note = run.reaches("step-note", "sign-in").await;
    assert!(note["note"].as_str().unwrap().contains("no connection: the proxy is out of reach: "), "{note}");
    run.kill().await;
}

#[tokio::test]
async fn hosts_that_are_excepted_are_reached_without_the_proxy_and_loopback_always_is() {
    let bench = with_tls(Certificate::Good).await;
    let proxy = Proxy::start(&bench, None).await;
    let board = bench.plug(bench.board());
    let proxied = |run: crate::bench::Run| run.env("HTTPS_PROXY", format!("http://{}", proxy.address));
    proxied(bench.run(&board)).ended().await.passes();
    // The same computer by an address that does not count as loopback, and is not in the certificate.
    let url = bench.info.api_url.replace("127.0.0.1", "0.0.0.0");
    let run = proxied(bench.run(&board)).env("PARTICLE_API_URL", url).env("NO_PROXY", "0.0.0.0");
    run.ended().await.fails_with(22, "not-secure").saying("is for another host");
    assert_eq!(proxy.heard(), [""; 0]);
}

#[tokio::test]
async fn plain_http_is_for_this_computer_only() {
    let bench = Bench::new().await;
    let board = bench.plug(bench.board());
    let run = bench.run(&board).env("PARTICLE_API_URL", "http://cloud.simulated.example");
    run.ended().await.fails_with(2, "configuration").saying("plain http would show secrets to the network");
}

#[tokio::test]
async fn each_try_is_traced_with_all_but_its_secrets() {
    let bench = Bench::new().await;
    for fault in [format!("{SIGN_IN}=503x1"), format!("{ASK_PRODUCT}=dropx1")] {
        bench.cloud.add_fault(fault.parse().unwrap());
    }
    let board = bench.plug(bench.board());
    let traced = || bench.run(&board).with(&["--trace-http"]).with(&[bench.trace()]);
    // The lines go nowhere else.
    let ended = traced().env("RUST_LOG", "trace").ended().await.passes();
    assert!(!ended.stderr.contains("request_headers"), "{}", ended.stderr);
    let text = std::fs::read_to_string(bench.trace()).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told = |line: &Value| {
        let url = line["url"].as_str().unwrap().strip_prefix(&bench.info.api_url).unwrap();
        let status = line["status"].as_u64().and_then(|status| u16::try_from(status).ok());
        format!("{} {url} {status:?}", line["method"].as_str().unwrap())
    };
    let mut traced_calls: Vec<_> = lines.iter().map(told).collect();
    let asked = bench.cloud.requests();
    let mut asked: Vec<_> = asked.iter().map(|r| format!("{} {} {:?}", r.method, r.path, r.status)).collect();
    // A run may end before the stream that it asked for has begun.
    for calls in [&mut traced_calls, &mut asked] {
        calls.iter_mut().filter(|call| call.starts_with(STREAM)).for_each(|call| call.truncate(STREAM.len()));
        calls.sort_unstable();
    }
    assert_eq!(traced_calls, asked);
    assert!(asked.contains(&STREAM.into()));

    let of = |call: &str| lines.iter().filter(|line| told(line).starts_with(call)).collect::<Vec<_>>();
    let sign_ins = of(SIGN_IN);
    assert_eq!((&sign_ins[0]["status"], &sign_ins[1]["status"]), (&json!(503), &json!(200)));
    assert_eq!(sign_ins[0]["response"]["error"], "A fault that was asked for");
    assert_eq!(sign_ins[1]["request"], json!([["grant_type", "client_credentials"]]));
    assert_eq!(sign_ins[1]["response"]["access_token"], "[redacted]");
    assert_eq!(sign_ins[1]["response"]["token_type"], "bearer");
    assert_eq!((&sign_ins[1]["signed"], &sign_ins[1]["http"]), (&json!("basic"), &json!("HTTP/1.1")));
    assert!(sign_ins[1]["seconds"].as_f64().is_some() && sign_ins[1]["at"].as_str().is_some());
    let asked_product = of(&format!("{ASK_PRODUCT} "));
    assert!(asked_product[0]["trouble"].as_str().is_some() && asked_product[0].get("response").is_none());
    assert_eq!(asked_product[1]["response_headers"]["content-type"], "application/json; charset=utf-8");
    assert_eq!(of(CLAIM_CODE)[0]["response"]["claim_code"], "[redacted]");

    // The next one goes on where this one stopped.
    traced().env("PARTICLE_CLIENT_ID", "somebody-else").ended().await.fails_with(20, "sign-in-refused");
    let more = std::fs::read_to_string(bench.trace()).unwrap();
    assert!(more.len() > text.len() && more.starts_with(&text));
}

#[tokio::test]
async fn a_trace_that_cannot_be_written_is_refused_at_the_start() {
    let bench = Bench::new().await;
    let board = bench.plug(bench.board());
    let nowhere = bench.home().join("no/such/place");
    let run = bench.run(&board).with(&["--trace-http"]).with(&[&nowhere]);
    let ended = run.ended().await.fails_with(2, "configuration").saying("place cannot be written");
    assert_eq!((ended.events.len(), bench.cloud.requests().len()), (1, 0));
}

#[tokio::test]
async fn answers_of_any_shape_end_in_the_call_the_status_and_their_own_words() {
    let shapes = [
        ("garbage:400", "400: 0 bytes"),
        ("html:403", "403: an HTML page, “Welcome to the hotel's Wi-Fi”"),
        ("text:404", "404: upstream connect error"),
        ("text", "200: not JSON, but upstream connect error"),
        ("empty:409", "409: an empty answer"),
        ("empty", "200: not "),
        ("gzip:404", "404: compressed data, which was not asked for"),
        ("gzip", "200: not JSON, but compressed data, which was not asked for"),
        ("latin1:400", "400: d\u{fffd}sol\u{fffd}"),
        ("latin1", "200: d\u{fffd}sol\u{fffd}"),
        ("endless:404", "404: an empty answer"),
        ("endless", "200: an answer of more than 4 MiB"),
        ("refusal:400", "400: Not today"),
        ("refusal", "200: Not today"),
        ("302", "302: a redirect to 127.0.0.1, which is not followed"),
    ];
    let routes = [SIGN_IN, ASK_PRODUCT, IMPORT, CREATE_CUSTOMER, CLAIM_CODE];
    let cases = shapes.iter().flat_map(|shape| routes.into_iter().map(move |route| (route, shape)));
    all(cases, async |(route, (shape, said))| {
        let bench = Bench::new().await;
        bench.cloud.add_fault(format!("{route}={shape}").parse().unwrap());
        let board = bench.plug(bench.board());
        let ended = bench.run(&board).ended().await;
        assert!(matches!(ended.status.code(), Some(20 | 21)), "{route}={shape}: {ended:?}");
        let message = ended.message();
        let said = said.replace("0 bytes", "20 bytes that are no text");
        assert!(message.contains(&format!("{route} was answered with {said}")), "{route}={shape}: {message}");
        for parsers in ["expected value", "line 1", "EOF while", "invalid type"] {
            assert!(!message.contains(parsers), "{route}={shape}: {message}");
        }
        assert_eq!(board.effects(), []);
    })
    .await;
}
