use std::{io, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::header,
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt, future, stream};
use serde_json::json;
use tokio::{
    sync::{
        broadcast::{Receiver, error::RecvError},
        watch,
    },
    time::timeout,
};

use super::{
    clock::rfc3339,
    limits::Seat,
    world::{Device, Owner},
};

/// Something that a device, or the cloud about a device, has published.
pub(super) struct Said {
    name: &'static str,
    data: &'static str,
    device: String,
    product: Option<u32>,
    owner: Option<Owner>,
    at: i64,
}

impl Said {
    pub(super) fn about(device: &Device, name: &'static str, data: &'static str, at: i64) -> Self {
        Self {
            name,
            data,
            device: device.id.clone(),
            product: device.product_id,
            owner: device.owner.clone(),
            at,
        }
    }

    fn frame(&self) -> String {
        let body = json!({
            "data": self.data,
            "ttl": 60,
            "published_at": rfc3339(self.at),
            "coreid": self.device,
        });
        format!("event: {}\ndata: {body}\n\n", self.name)
    }
}

/// Which events a stream carries.
pub(super) struct Filter {
    pub(super) prefix: String,
    pub(super) audience: Audience,
}

/// Whose devices a stream is about.
pub(super) enum Audience {
    Product(u32),
    Owner(Owner),
}

impl Filter {
    fn passes(&self, said: &Said) -> bool {
        let about_us = match &self.audience {
            Audience::Product(product) => said.product == Some(*product),
            Audience::Owner(owner) => said.owner.as_ref() == Some(owner),
        };
        about_us && said.name.starts_with(&self.prefix)
    }
}

/// One stream that is open.
pub(super) struct Listener {
    pub(super) heard: Receiver<Arc<Said>>,
    pub(super) filter: Filter,
    /// How long it may say nothing.
    pub(super) keep_alive: Duration,
    /// Changes when all streams are to break off.
    pub(super) cuts: watch::Receiver<u32>,
    pub(super) _seat: Seat,
}

impl Listener {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        let next = async {
            loop {
                match self.heard.recv().await {
                    Ok(said) if self.filter.passes(&said) => return Some(Ok(Bytes::from(said.frame()))),
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                }
            }
        };
        tokio::select! {
            frame = timeout(self.keep_alive, next) => frame.unwrap_or(Some(Ok(Bytes::from("\n")))),
            _ = self.cuts.changed() => Some(Err(io::ErrorKind::ConnectionReset.into())),
        }
    }
}

/// An endless answer of server-sent events. It begins with a comment, so a client that has the answer's
/// head, or that comment, misses nothing from then on. What the real keep-alive looks like is not
/// published: here it is an empty line. A reader that falls thousands of events behind loses the oldest.
pub(super) fn stream(listener: Listener) -> Response {
    let greeting = stream::once(future::ready(Ok(Bytes::from(":ok\n\n"))));
    let frames =
        stream::unfold(listener, async |mut listener| listener.next().await.map(|frame| (frame, listener)));
    let body = Body::from_stream(greeting.chain(frames));
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}
