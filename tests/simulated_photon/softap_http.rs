//! What the Photon's small HTTP server does to clients that are used to others.

use provision::sim::photon::{PhotonConfig, SimPhoton};
use std::time::Duration;

use crate::softap_wire::{Client, VERSION, VERSION_ANSWER, among, answer, ask_http, post, r, softap};

const SET: &str = r#"{"k":"cc","v":"3GjxEd"}"#;

#[tokio::test]
async fn a_header_must_come_in_one_segment() {
    let photon = SimPhoton::start(softap()).unwrap();
    let mut client = Client::http(&photon).await;
    // One that is longer than a segment does not.
    let padding = "x".repeat(1300);
    client.segment(format!("GET /device-id HTTP/1.1\r\nX-Long: {padding}\r\n\r\n")).await;
    client.is_quiet().await;
    // One that just fits does.
    let line = "GET /version HTTP/1.1\r\nX: ";
    let padding = "x".repeat(1152 - line.len() - 4);
    client.ask(format!("{line}{padding}\r\n\r\n"), answer(VERSION_ANSWER)).await;
    client.is_quiet().await;
}

#[tokio::test]
async fn a_long_body_comes_in_as_many_segments_as_it_takes() {
    let photon = SimPhoton::start(softap()).unwrap();
    let mut client = Client::http(&photon).await;
    let body = format!("{}{SET}", " ".repeat(5000));
    client.ask(post("/set", body), answer(&r(0))).await;
    let mut head = post("/set", SET);
    let body = head.split_off(head.len() - SET.len());
    client.segment(head).await;
    for byte in &body[..body.len() - 1] {
        client.segment([*byte]).await;
    }
    client.ask(&body[body.len() - 1..], answer(&r(0))).await;
    assert_eq!(photon.effects().len(), 2);
}

#[tokio::test]
async fn a_connection_is_kept_and_a_second_request_in_a_segment_is_lost() {
    let photon = SimPhoton::start(softap()).unwrap();
    let mut client = Client::http(&photon).await;
    client.ask(VERSION, answer(VERSION_ANSWER)).await;
    client.ask([VERSION.as_bytes(), &post("/set", SET)].concat(), answer(VERSION_ANSWER)).await;
    client.is_quiet().await;
    assert!(photon.effects().is_empty());
}

#[tokio::test]
async fn types_that_it_knows_are_not_found_and_after_an_answer_the_error_allows_all_origins() {
    let photon = SimPhoton::start(softap()).unwrap();
    let mut client = Client::http(&photon).await;
    client.is_quiet().await;
    let not_found = answer("").replace("200 OK", "404 Not Found").replace("application/json", "text/html");
    let not_found = not_found.replace("Transfer-Encoding: chunked", "Content-Length: 0");
    client.ask("GET /version HTTP/1.1\r\nContent-Type: application/json\r\n\r\n", &not_found).await;
    let mut fresh = Client::http(&photon).await;
    let not_found = not_found.replace("Access-Control-Allow-Origin: *\r\n", "");
    fresh.ask("GET /version HTTP/1.1\r\nContent-Type: text/plain\r\n\r\n", not_found).await;
}

#[tokio::test]
async fn a_chunked_body_is_not_understood() {
    let photon = SimPhoton::start(softap()).unwrap();
    let mut client = Client::http(&photon).await;
    let chunked = format!("18\r\n{SET}\r\n0\r\n\r\n");
    // Seen by its exact name: the length comes first and is no object, so that nothing is set.
    let request = format!("POST /set HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}");
    client.ask(request, answer(&r(-1))).await;
    // Not seen: there is no body.
    let request = format!("POST /set HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n{chunked}");
    client.ask(request, answer("0\r\n\r\n")).await;
    client.is_quiet().await;
    assert!(photon.effects().is_empty());
}

#[tokio::test]
async fn an_exact_wish_to_close_with_a_body_to_come_is_granted_without_an_answer() {
    let photon = SimPhoton::start(softap()).unwrap();
    let mut client = Client::http(&photon).await;
    let head = format!("POST /set HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", SET.len());
    client.segment(&head).await;
    client.is_closed().await;
    let mut client = Client::http(&photon).await;
    client.segment(head.replace("Connection", "connection")).await;
    client.ask(SET, answer(&r(0))).await;
}

#[tokio::test]
async fn a_wrong_length_hangs_its_own_connection_only() {
    let photon = SimPhoton::start(softap()).unwrap();
    for wrong in [SET.len() + 1, SET.len() - 1] {
        let mut client = Client::http(&photon).await;
        client.segment(format!("POST /set HTTP/1.1\r\nContent-Length: {wrong}\r\n\r\n{SET}")).await;
        if wrong > SET.len() {
            // The byte that was still to come; white space does no harm.
            client.ask("\n", answer(&r(0))).await;
        } else {
            client.segment(VERSION).await;
        }
        Client::http(&photon).await.is_quiet().await;
    }
    assert_eq!(photon.effects().len(), 1);
}

#[tokio::test]
async fn every_body_that_never_came_whole_costs_a_place_until_it_restarts() {
    let photon = SimPhoton::start(softap()).unwrap();
    let error = answer("")
        .replace("200 OK", "500 Internal Server Error")
        .replace("application/json", "text/html")
        .replace("Transfer-Encoding: chunked", "Content-Length: 0")
        .replace("Access-Control-Allow-Origin: *\r\n", "");
    for lost in 1..=8 {
        Client::http(&photon).await.is_quiet().await;
        let mut client = Client::http(&photon).await;
        client.segment("POST /set HTTP/1.1\r\nContent-Length: 80\r\n\r\n{").await;
        drop(client);
        photon.wait_for(|state| state.softap_http.lost_bodies == lost).await;
    }
    let mut client = Client::http(&photon).await;
    client.ask(VERSION, &error).await;
    // Not so for what is no command.
    client
        .ask("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 301\r\nLocation: /index\r\nContent-Length: 0\r\n\r\n")
        .await;
    photon.reset();
    client.is_closed().await;
    photon.wait_for(|state| state.softap_http.open && state.softap_http.lost_bodies == 0).await;
    assert_eq!(ask_http(&photon, "/version", "").await, br#"{"v":2}"#);
}

#[tokio::test]
async fn an_eleventh_connection_resets_the_one_idle_longest() {
    let photon = SimPhoton::start(softap()).unwrap();
    let mut clients = Vec::new();
    for _ in 0..10 {
        let mut client = Client::http(&photon).await;
        client.is_quiet().await;
        clients.push(client);
    }
    // The first is not the one that has been idle longest any more.
    clients[0].is_quiet().await;
    let mut eleventh = Client::http(&photon).await;
    eleventh.is_quiet().await;
    assert_eq!(clients[1].is_reset().await, 0);
    clients.remove(1);
    for client in &mut clients {
        client.is_quiet().await;
    }
    eleventh.is_quiet().await;
}

#[tokio::test]
async fn a_scan_delays_everybody() {
    let day = Duration::from_secs(86_400);
    let photon = SimPhoton::start(PhotonConfig { scan_delay: day, ..among(&["Home:WPA2_AES"]) }).unwrap();
    let mut scanning = Client::http(&photon).await;
    scanning.send("GET /scan-ap HTTP/1.1\r\n\r\n").await;
    scanning.is_served().await;
    let mut other = Client::http(&photon).await;
    other.send(VERSION).await;
    scanning.others_wait(1).await;
    scanning.is_served().await;
    // The other wire has a thread of its own.
    Client::tcp(&photon).await.ask("version\n0\n\n", "\n\n{\"v\":2}").await;
}
