//! The cloud as a whole: transcripts, traffic, storage, events. What one resource does is tested beside
//! its endpoints.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use super::{
    CloudConfig, DeviceSeed, SimCloud,
    harness::{ANN, Bench, DEVICE, OTHER_DEVICE, got, seed},
};

/// The published answers, one a line.
const PUBLISHED: &str = include_str!("../../../fixtures/published.jsonl");

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// A number stays a number, a text a text, and so on down.
fn same_shape(published: &Value, ours: &Value) -> bool {
    match (published, ours) {
        (Value::Object(theirs), Value::Object(_)) => theirs.iter().all(|(k, v)| same_shape(v, &ours[k])),
        _ => std::mem::discriminant(published) == std::mem::discriminant(ours),
    }
}

#[tokio::test]
async fn every_published_answer_has_its_status_and_shape() {
    let bench = Bench::new().await;
    let customer_name = "customer5@mycompany.com";
    let mut customer = String::new();
    let (mut replayed, mut answers) = (0, Vec::new());
    for line in PUBLISHED.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        if line["wire"] == "http" {
            continue; // The board's SoftAP, not the cloud.
        }
        let name = line["name"].as_str().unwrap();
        if ["read a variable", "call a function", "unknown variable", "device offline"].contains(&name) {
            for (id, online) in [(DEVICE, name != "device offline"), (OTHER_DEVICE, true)] {
                bench.seed(DeviceSeed {
                    owner: Some(customer_name.into()),
                    product_id: Some(1319),
                    variables: [("temp".to_owned(), json!(1083))].into(),
                    functions: [("setColor".to_owned(), 1)].into(),
                    ..seed(id)
                });
                if online {
                    bench.session(id).await;
                }
            }
        }
        let path = line["path"].as_str().unwrap().replace("ID", DEVICE);
        let mut request = bench.request(line["method"].as_str().unwrap(), &path);
        let mut form: Vec<(String, String)> = line["form"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned()))
            .collect();
        request = match line["auth"].as_str() {
            Some("basic client_id:client_secret") => {
                request.basic_auth(&bench.info.client_id, Some(&bench.info.client_secret))
            }
            Some("access_token in the form") => {
                form.push(("access_token".into(), bench.product_token().await));
                request
            }
            Some("the customer's token") => request.bearer_auth(&customer),
            Some(other) => panic!("{other}"),
            None if name == "no token" => request,
            None if name == "no organizations" => request.bearer_auth(&bench.info.user_token),
            None => request.bearer_auth(&customer),
        };
        let (status, ours) = got(if form.is_empty() { request } else { request.form(&form) }).await;
        assert_eq!(status, line["status"].as_u64().unwrap() as u16, "{name}: {ours}");
        let published = if line["answer"] == "as above" { answers.last().unwrap() } else { &line["answer"] };
        // The published import is from a server that left out two of the lists.
        let allowed: BTreeSet<_> =
            keys(published).into_iter().chain(["updatedDeviceIds", "existingDeviceIds"]).collect();
        assert!(keys(&ours).is_subset(&allowed) && same_shape(published, &ours), "{name}: {ours}");
        if published.get("error").is_some() {
            assert_eq!(&ours, published, "{name}");
        }
        if name == "create a shadow customer" {
            customer = ours["access_token"].as_str().unwrap().to_owned();
        }
        answers.push(published.clone());
        replayed += 1;
    }
    assert_eq!(replayed, 11);
}

#[tokio::test]
async fn a_device_is_taken_from_its_bag_to_its_customer() {
    let bench = Bench::new().await;
    assert_eq!(bench.import(DEVICE).await["updated"], 1);
    let customer = bench.customer_token(ANN).await;
    let code = bench.claim_code(&customer).await;
    bench.session(DEVICE).await;
    assert!(bench.show_code(DEVICE, &code).await);
    let (status, record) = bench.get(&format!("/v1/devices/{DEVICE}"), &customer).await;
    assert_eq!(status, 200);
    assert_eq!((&record["owner"], &record["product_id"]), (&json!(ANN), &json!(1319)));
    assert_eq!((&record["online"], &record["connected"]), (&json!(true), &json!(true)));
    assert!(record["last_heard"].is_string());
}

#[tokio::test]
async fn a_token_can_be_sent_in_three_ways_but_in_one_at_a_time() {
    let bench = Bench::new().await;
    let token = bench.info.user_token.as_str();
    assert_eq!(bench.get("/v1/devices", token).await, (200, json!([])));
    let in_query = format!("/v1/devices?access_token={token}");
    assert_eq!(got(bench.request("GET", &in_query)).await, (200, json!([])));
    let in_form = bench.request("POST", "/v1/device_claims").form(&[("access_token", token)]);
    assert_eq!(got(in_form).await.0, 200);
    assert_eq!(bench.post("/v1/device_claims", json!({"access_token": token})).await.0, 200);
    assert_eq!(got(bench.request("GET", &in_query).bearer_auth(token)).await.0, 400);
    let in_the_wrong_query = format!("/v1/device_claims?access_token={token}");
    let (status, body) = got(bench.request("POST", &in_the_wrong_query)).await;
    assert_eq!((status, &body["error_description"]), (400, &json!("The access token was not found")));
}

#[tokio::test]
async fn what_is_not_there_is_404_as_json_and_is_logged_without_secrets() {
    let bench = Bench::new().await;
    let token = &bench.info.user_token;
    assert_eq!(bench.get("/v1/nothing", token).await.0, 404);
    assert_eq!(bench.call("PUT", "/v1/orgs", token, Value::Null).await.1["ok"], false);
    bench.get("/v1/orgs?access_token=secret", token).await;
    bench.call("DELETE", &format!("/v1/access_tokens/{}", "ab".repeat(20)), token, Value::Null).await;
    bench.get("/simulator/state", token).await;
    let log: Vec<_> = bench.cloud.requests().iter().map(|r| format!("{} {}", r.method, r.path)).collect();
    assert_eq!(log, ["GET /v1/nothing", "PUT /v1/orgs", "GET /v1/orgs", "DELETE /v1/access_tokens/[token]"]);
    let (_, over_http) = bench.get("/simulator/requests", token).await;
    assert_eq!(
        over_http[0],
        json!({"method": "GET", "path": "/v1/nothing", "status": 404, "http": "1.1", "connection": 1})
    );
}

#[tokio::test]
async fn a_body_that_is_no_json_object_is_refused() {
    let bench = Bench::new().await;
    let request = bench.request("POST", "/v1/device_claims").bearer_auth(&bench.info.user_token);
    let request = request.header("content-type", "application/json; charset=utf-8").body("[1");
    assert_eq!(got(request).await.1["error"], "invalid_request");
}

#[tokio::test]
async fn a_status_fault_happens_as_often_as_asked_and_names_its_wait() {
    let bench = Bench::with_fault("GET /v1/orgs=429:retry-after=7x1").await;
    let answer = bench.request("GET", "/v1/orgs").send().await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (429, &"7".parse().unwrap()));
    assert_eq!(bench.get("/v1/orgs", &bench.info.user_token).await.0, 200);
}

#[tokio::test]
async fn a_redirect_points_to_where_a_careless_client_would_be_logged() {
    let bench = Bench::with_fault("GET /v1/orgs=302").await;
    let answer = bench.request("GET", "/v1/orgs").send().await.unwrap();
    assert_eq!(answer.headers()["location"], format!("{}/v1/elsewhere", bench.info.api_url));
}

#[tokio::test]
async fn a_dropped_request_gets_no_answer_and_has_no_effect_unless_it_is_dropped_after() {
    for (fault, customers) in [("drop", 0), ("drop-after", 1), ("503-after", 1), ("503", 0)] {
        let bench = Bench::with_fault(&format!("POST /v1/products/*/customers={fault}x1")).await;
        let request = bench.request("POST", "/v1/products/1319/customers");
        let request = request.basic_auth(&bench.info.client_id, Some(&bench.info.client_secret));
        let answer = request.form(&[("email", ANN), ("no_password", "true")]).send().await;
        assert_eq!(answer.is_err(), fault.starts_with("drop"), "{fault}");
        assert_eq!(bench.cloud.requests()[0].status, answer.ok().map(|a| a.status().as_u16()));
        assert_eq!(bench.cloud.snapshot()["customers"].as_array().unwrap().len(), customers, "{fault}");
    }
}

#[tokio::test]
async fn a_dropped_connection_is_reset_not_closed_in_order() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let bench = Bench::with_fault("GET /v1/orgs=drop").await;
    let address = bench.info.api_url.strip_prefix("http://").unwrap();
    let mut raw = tokio::net::TcpStream::connect(address).await.unwrap();
    raw.write_all(b"GET /v1/orgs HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let error = raw.read(&mut [0; 1]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_truncated_answer_announces_more_than_it_brings() {
    let bench = Bench::with_fault("GET /v1/orgs=truncatex1").await;
    let request = bench.request("GET", "/v1/orgs").bearer_auth(&bench.info.user_token);
    let mut answer = request.send().await.unwrap();
    let announced = answer.content_length().unwrap();
    let first = answer.chunk().await.unwrap().unwrap();
    assert_eq!(first.len() as u64, announced / 2);
    assert!(answer.chunk().await.is_err());
    assert_eq!(bench.get("/v1/orgs", &bench.info.user_token).await.0, 200);
}

#[tokio::test]
async fn garbage_and_html_come_with_status_200() {
    for (fault, kind) in [("garbage", "application/json"), ("html", "text/html")] {
        let bench = Bench::with_fault(&format!("GET /v1/orgs={fault}")).await;
        let answer = bench.request("GET", "/v1/orgs").send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], kind);
        assert!(serde_json::from_slice::<Value>(&answer.bytes().await.unwrap()).is_err());
    }
}

#[tokio::test]
async fn a_delayed_request_is_served_all_the_same() {
    let bench = Bench::with_fault("GET /v1/orgs=delay:1").await;
    assert_eq!(bench.get("/v1/orgs", &bench.info.user_token).await.0, 200);
}

#[tokio::test]
async fn a_gate_holds_requests_until_it_is_opened() {
    let bench = Bench::new().await;
    let gate = bench.cloud.gate("GET /v1/orgs").unwrap();
    let ask = || bench.get("/v1/orgs", &bench.info.user_token);
    let watch = async {
        gate.arrived_times(2).await;
        assert!(bench.cloud.requests().iter().all(|request| request.status.is_none()));
        gate.open();
    };
    let (first, second, ()) = tokio::join!(ask(), ask(), watch);
    assert_eq!((first.0, second.0, gate.count()), (200, 200, 2));
}

#[tokio::test]
async fn the_hundred_and_first_sign_in_within_five_minutes_is_refused_until_time_has_passed() {
    let bench = Bench::new().await;
    for _ in 0..100 {
        bench.product_token().await;
    }
    let sign_in = bench.request("POST", "/oauth/token");
    let answer =
        sign_in.basic_auth(&bench.info.client_id, Some(&bench.info.client_secret)).send().await.unwrap();
    assert_eq!(answer.status(), 429);
    assert!(answer.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap() <= 300);
    assert_eq!(bench.get("/v1/orgs", &bench.info.user_token).await.0, 200);
    assert_eq!(bench.post("/simulator/clock", json!({"advance_s": 300})).await.0, 200);
    bench.product_token().await;
}

#[tokio::test]
async fn limits_can_be_turned_off() {
    let bench = Bench::with(CloudConfig { limits: false, ..CloudConfig::default() }).await;
    for _ in 0..110 {
        assert_eq!(bench.sign_in("nobody", "wrong", &[]).await.0, 401);
    }
    bench.product_token().await;
}

#[tokio::test]
async fn a_restarted_cloud_remembers_everything_and_its_file_is_private() {
    let directory = tempfile::tempdir().unwrap();
    let state_file = Some(directory.path().join("state.json"));
    let config = CloudConfig { state_file: state_file.clone(), ..CloudConfig::default() };
    let before = Bench::with(config.clone()).await;
    before.import(DEVICE).await;
    let customer = before.customer_token(ANN).await;
    let code = before.claim_code(&customer).await;
    before.cloud.advance(Duration::from_secs(60));
    // Not shut down in order: what was answered has been stored by then.
    let stored = std::fs::read(state_file.as_ref().unwrap()).unwrap();
    before.cloud.shutdown().await.unwrap();
    assert!(String::from_utf8(stored).unwrap().contains(&code));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(state_file.as_ref().unwrap()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    let after = Bench::with(config).await;
    assert_eq!(after.info.client_secret, before.info.client_secret);
    after.session(DEVICE).await;
    assert!(after.show_code(DEVICE, &code).await);
    assert_eq!(after.get("/v1/devices", &customer).await.1[0]["id"], DEVICE);
    assert_eq!(
        after.get("/v1/products/1319/devices", &after.info.user_token).await.1["meta"]["total_pages"],
        1
    );
}

#[tokio::test]
async fn a_file_that_is_no_state_is_refused_and_left_alone() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "{\"version\":1}").unwrap();
    let state_file = Some(file.path().to_owned());
    let error = SimCloud::start(CloudConfig { state_file, ..CloudConfig::default() }).await.err().unwrap();
    assert!(error.to_string().contains("is no state of a simulated cloud"), "{error}");
    assert_eq!(std::fs::read(file.path()).unwrap(), b"{\"version\":1}");
}

#[tokio::test]
async fn a_shut_down_cloud_frees_its_port_and_its_connections() {
    let bench = Bench::new().await;
    let path = "/v1/devices/events";
    let mut stream = bench.request("GET", path).bearer_auth(&bench.info.user_token).send().await.unwrap();
    assert_eq!(stream.chunk().await.unwrap().unwrap(), ":ok\n\n");
    let listen = bench.info.api_url.strip_prefix("http://").unwrap().parse().unwrap();
    bench.cloud.shutdown().await.unwrap();
    assert!(stream.chunk().await.is_err());
    SimCloud::start(CloudConfig { listen, ..CloudConfig::default() }).await.unwrap();
}

/// Reads until the stream has brought this text; what it brought so far.
async fn read_until(stream: &mut reqwest::Response, text: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(text) {
        seen.push_str(std::str::from_utf8(&stream.chunk().await.unwrap().unwrap()).unwrap());
    }
    seen
}

#[tokio::test]
async fn a_products_stream_tells_what_its_devices_do_and_nothing_of_others() {
    let bench = Bench::new().await;
    bench.import(DEVICE).await;
    let code = bench.claim_code(&bench.customer_token(ANN).await).await;
    let token = bench.product_token().await;
    let request = bench.request("GET", "/v1/products/1319/events/spark").bearer_auth(token);
    let mut stream = request.send().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    bench.session(OTHER_DEVICE).await;
    bench.session(DEVICE).await;
    bench.show_code(DEVICE, &code).await;
    let seen = read_until(&mut stream, "spark/device/claim/success").await;
    assert!(!seen.contains(OTHER_DEVICE) && !seen.contains(&code), "{seen}");
    let (event, data) = seen.split("\n\n").nth(1).unwrap().split_once('\n').unwrap();
    assert_eq!(event, "event: spark/status");
    let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!(
        (&data["data"], &data["coreid"], &data["ttl"]),
        (&json!("online"), &json!(DEVICE), &json!(60))
    );
    assert!(data["published_at"].is_string());
    assert!(seen.contains("event: spark/device/claim/code\n"));
}

#[tokio::test]
async fn a_stream_can_be_narrowed_to_one_kind_of_event() {
    let bench = Bench::new().await;
    bench.import(DEVICE).await;
    let path = "/v1/products/1319/events/spark/status";
    let mut stream =
        bench.request("GET", path).bearer_auth(bench.product_token().await).send().await.unwrap();
    bench.session(DEVICE).await;
    bench.show_code(DEVICE, "wrong").await;
    bench.post(&format!("/simulator/devices/{DEVICE}/offline"), json!({})).await;
    assert!(!read_until(&mut stream, "offline").await.contains("claim"));
}

#[tokio::test]
async fn fifty_thousand_devices_are_paged_completely() {
    let bench = Bench::with(CloudConfig { limits: false, ..CloudConfig::default() }).await;
    for number in 0..50_000 {
        bench.seed(DeviceSeed { product_id: Some(1319), ..seed(&format!("{number:024x}")) });
    }
    let (_, first) = bench.get("/v1/products/1319/devices", &bench.info.user_token).await;
    assert_eq!(
        (first["devices"].as_array().unwrap().len(), &first["meta"]["total_pages"]),
        (25, &json!(2000))
    );
    let mut ids = BTreeSet::new();
    for page in 1.. {
        let path = format!("/v1/products/1319/devices?page={page}&perPage=500");
        let (_, body) = bench.get(&path, &bench.info.user_token).await;
        let devices = body["devices"].as_array().unwrap();
        if devices.is_empty() {
            break;
        }
        ids.extend(devices.iter().map(|device| device["id"].as_str().unwrap().to_owned()));
    }
    assert_eq!(ids.len(), 50_000);
}

#[tokio::test]
async fn a_request_under_way_is_cut_off_when_the_cloud_goes_down() {
    let bench = Bench::new().await;
    let gate = bench.cloud.gate("GET /v1/orgs").unwrap();
    let request = bench.request("GET", "/v1/orgs").send();
    let down = async {
        gate.arrived().await;
        bench.cloud.shutdown().await.unwrap();
    };
    let (answer, ()) = tokio::join!(request, down);
    assert!(answer.is_err());
}
