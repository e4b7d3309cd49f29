use std::{io, sync::Arc};

use axum::{
    body::{Body, Bytes},
    http::header,
    response::{IntoResponse, Response},
};
use futures_util::stream;
use serde_json::json;
use tokio::sync::broadcast::{Receiver, error::RecvError};

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

/// An endless answer of server-sent events. It begins with a comment, so a client that has the answer's
/// head, or that comment, misses nothing from then on. A reader that falls thousands of events behind
/// loses the oldest.
pub(super) fn stream(heard: Receiver<Arc<Said>>, filter: Filter, seat: Seat) -> Response {
    let state = (heard, filter, seat, Some(":ok\n\n"));
    let frames = stream::unfold(state, async |(mut heard, filter, seat, greeting)| {
        if let Some(greeting) = greeting {
            return Some((Ok::<_, io::Error>(Bytes::from(greeting)), (heard, filter, seat, None)));
        }
        loop {
            match heard.recv().await {
                Ok(said) if filter.passes(&said) => {
                    return Some((Ok(Bytes::from(said.frame())), (heard, filter, seat, None)));
                }
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(frames)).into_response()
}
