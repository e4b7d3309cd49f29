//! SoftAP: the JSON that a Photon in listening mode speaks on its own access point.
//!
//! Source: Device OS `hal/src/photon/softap.cpp`, and its behaviour at v2.3.1 with the Photon's own
//! HTTP server. The facts that the code here and in `device/softap` relies on:
//!
//! - The device is `192.168.0.1` on the open network `Photon-XXXX`: HTTP on port 80, and a small TCP
//!   protocol with the same bodies on port 5609. Only one may be used at a time: scans on both at
//!   once stop both for good.
//! - The HTTP server searches requests for exact strings. `Content-Length: ` is seen in that case
//!   only, a `Content-Type` of JSON gives 404, the whole header has to come in one segment of at most
//!   1,152 bytes, and a chunked body, `Expect` and a second request before the first is answered are
//!   lost. Connections are kept alive; an aborted body costs the server a slot.
//! - The TCP server takes one request a connection. A line end other than LF, or a byte count that is
//!   too high, makes it wait, and every other TCP client with it.
//! - A tiny tokenizer reads the JSON. A key that it does not know, or a value of another type, refuses
//!   the request, which is then answered with nothing at all. Escapes are undone in certificates only.
//! - What the device writes is not escaped either, so a scan may be no JSON.
//! - Firmware before 0.7 stores `sec` and `ch` as they come; later firmware scans and takes them from
//!   what it sees. So they are sent as they are, and nothing that is not needed is sent.

mod answer;
mod framing;
mod request;

pub use answer::{AnswerError, DeviceIdAnswer, Reply, ResultCode};
pub use framing::{HttpReader, TcpReader};
pub use request::{ConfigureError, KeyForm, Request};
