use serde::Deserialize;

use super::{
    Cloud, CloudError,
    auth::Subject,
    devices::number,
    http::{Call, Kind},
};
use crate::model::{Deadline, Platform, ProductRef};

/// A product, as far as a run needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// The number, which device records refer to.
    pub id: u64,
    /// The other name it goes by in paths; from outside, as is.
    pub slug: String,
    /// As its makers call it; from outside, as is.
    pub name: String,
    /// The one platform whose devices it takes.
    pub platform: Option<Platform>,
}

#[derive(Deserialize)]
struct ProductAnswer {
    product: OneOrList,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrList {
    One(WireProduct),
    List([WireProduct; 1]),
}

#[derive(Deserialize)]
struct WireProduct {
    #[serde(deserialize_with = "number")]
    id: Option<u64>,
    #[serde(default)]
    slug: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default, deserialize_with = "number")]
    platform_id: Option<u64>,
}

impl Cloud {
    /// `GET /v1/products/P`.
    ///
    /// # Errors
    ///
    /// `ProductNotVisible` when it does not exist or this client may not see it, besides what can go
    /// wrong in any call.
    pub async fn product(&self, product: &ProductRef, deadline: Deadline) -> Result<Product, CloudError> {
        const WHAT: &str = "a product";
        let path = ["v1", "products", product.as_str()];
        let call = Call::get(&path).about(Kind::OfProduct);
        let answer = self.send_as(Subject::Product, &call, deadline).await?;
        let garbled = answer.garbled(WHAT);
        let (OneOrList::One(wire) | OneOrList::List([wire])) = answer.read::<ProductAnswer>(WHAT)?.product;
        Ok(Product {
            id: wire.id.ok_or(garbled)?,
            slug: wire.slug.unwrap_or_default(),
            name: wire.name.unwrap_or_default(),
            platform: super::devices::platform(wire.platform_id),
        })
    }
}
