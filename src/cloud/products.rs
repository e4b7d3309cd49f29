use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use serde::Deserialize;
use serde_json::Value;
use tokio::{sync::OnceCell, time::timeout_at};

use super::{
    Cloud, CloudError, Listed,
    auth::Subject,
    devices::{number, platform, text},
    http::{Call, Kind},
    list::Kindred,
};
use crate::model::{Deadline, FailureCode, Platform, ProductRef};

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
    /// The organization that it belongs to, if any; from outside, as is.
    pub organization: Option<String>,
}

#[derive(Deserialize)]
struct ProductAnswer {
    product: OneOrList,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrList {
    // First, as serde would also read a list as a product's fields in their order.
    List([Value; 1]),
    One(Value),
}

const PRODUCTS: Kindred<WireProduct, Product> =
    Kindred { what: "a product", fields: &["products", "product"], parse: WireProduct::parse };

#[derive(Deserialize)]
struct WireProduct {
    #[serde(deserialize_with = "number")]
    id: Option<u64>,
    #[serde(default, deserialize_with = "text")]
    slug: Option<String>,
    #[serde(default, deserialize_with = "text")]
    name: Option<String>,
    #[serde(default, deserialize_with = "number")]
    platform_id: Option<u64>,
    #[serde(default, alias = "organization", deserialize_with = "text")]
    org: Option<String>,
}

impl WireProduct {
    fn parse(self) -> Option<Product> {
        Some(Product {
            id: self.id?,
            slug: self.slug.unwrap_or_default(),
            name: self.name.unwrap_or_default(),
            platform: platform(self.platform_id),
            organization: self.org,
        })
    }
}

/// The products that were read.
#[derive(Default)]
pub(super) struct Products(Mutex<HashMap<String, Arc<OnceCell<Product>>>>);

impl Cloud {
    /// The product as it was read the first time: one request for all who share this client.
    ///
    /// # Errors
    ///
    /// As [`Cloud::product`].
    pub async fn product_once(
        &self,
        product: &ProductRef,
        deadline: Deadline,
    ) -> Result<Product, CloudError> {
        let cell = {
            let mut products = self.shared.products.0.lock().unwrap_or_else(PoisonError::into_inner);
            products.entry(product.as_str().to_owned()).or_default().clone()
        };
        let read = cell.get_or_try_init(|| self.product(product, deadline));
        let read = timeout_at(deadline.at, read).await.map_err(|_| {
            let said =
                format!("not read: others were reading it until the time for {} was up", deadline.name);
            CloudError::new(FailureCode::CloudUnreachable, "the product", None, said)
        })?;
        read.cloned()
    }

    /// `GET /v1/products/P`.
    ///
    /// # Errors
    ///
    /// `ProductNotVisible` when it does not exist or this client may not see it, besides what can go
    /// wrong in any call.
    pub async fn product(&self, product: &ProductRef, deadline: Deadline) -> Result<Product, CloudError> {
        Ok(self.product_listed(product, deadline).await?.record)
    }

    /// The same with its own text.
    ///
    /// # Errors
    ///
    /// As [`Cloud::product`].
    pub async fn product_listed(
        &self,
        product: &ProductRef,
        deadline: Deadline,
    ) -> Result<Listed<Product>, CloudError> {
        let path = ["v1", "products", product.as_str()];
        let call = Call::get(&path).about(Kind::OfProduct);
        let answer = self.send_as(Subject::Product, &call, deadline).await?;
        answer.read(PRODUCTS.what, |ProductAnswer { product }| {
            let (OneOrList::One(wire) | OneOrList::List([wire])) = product;
            let json = wire.to_string();
            Some(Listed { record: WireProduct::deserialize(wire).ok()?.parse()?, json })
        })
    }

    /// `GET /v1/user/products`: the user's products.
    ///
    /// # Errors
    ///
    /// `Configuration` without a user's token, besides what can go wrong in any call.
    pub async fn products(&self, deadline: Deadline) -> Result<Vec<Listed<Product>>, CloudError> {
        PRODUCTS.of(&self.send_as(Subject::User, &Call::get(&["v1", "user", "products"]), deadline).await?)
    }

    /// `GET /v1/orgs/ORG/products`: an organization's products; it is named by its slug.
    ///
    /// # Errors
    ///
    /// Those of [`Cloud::products`].
    pub async fn organization_products(
        &self,
        organization: &str,
        deadline: Deadline,
    ) -> Result<Vec<Listed<Product>>, CloudError> {
        let path = ["v1", "orgs", organization, "products"];
        PRODUCTS.of(&self.send_as(Subject::User, &Call::get(&path), deadline).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::scripted::{Scripted, signed_in_cloud, soon};
    use super::*;
    use crate::model::FailureCode;

    #[tokio::test]
    async fn a_product_is_read_from_both_forms_and_with_numbers_as_texts() {
        let server = Scripted::start().await;
        let path = "GET /v1/products/my-product";
        server.expect(
            path,
            200,
            r#"{"product":{"id":1319,"slug":"my-product","name":"Lamp","platform_id":6}}"#,
        );
        server.expect(
            path,
            200,
            r#"{"product":[{"id":"1319","slug":"my-product","name":"Lamp","platform_id":"6"}]}"#,
        );
        let cloud = signed_in_cloud(&server);
        let product = ProductRef::parse("my-product").unwrap();
        let lamp = Product {
            id: 1319,
            slug: "my-product".into(),
            name: "Lamp".into(),
            platform: Some(Platform::Photon),
            organization: None,
        };
        assert_eq!(cloud.product(&product, soon()).await.unwrap(), lamp);
        assert_eq!(cloud.product(&product, soon()).await.unwrap(), lamp);
    }

    #[tokio::test]
    async fn products_are_listed_in_both_forms_with_their_own_texts() {
        let server = Scripted::start().await;
        let lamp = r#"{"slug":"lamp","id":1319,"org":"acme","new":1.0}"#;
        server.expect("GET /v1/user/products", 200, &format!(r#"{{"products":[{lamp}]}}"#));
        server.expect("GET /v1/orgs/ac%20me/products", 200, &format!(r#"{{"product":[{lamp},{lamp}]}}"#));
        server.expect("GET /v1/user/products", 200, r#"{"products":[]}"#);
        server.expect("GET /v1/user/products", 200, r#"{"devices":[]}"#);
        server.expect("GET /v1/user/products", 200, r#"{"products":[{"slug":"lamp"}]}"#);
        let cloud = signed_in_cloud(&server);
        let listed = cloud.products(soon()).await.unwrap();
        assert_eq!((listed[0].record.id, listed[0].json.as_str()), (1319, lamp));
        assert_eq!(listed[0].record.organization.as_deref(), Some("acme"));
        assert_eq!(cloud.organization_products("ac me", soon()).await.unwrap().len(), 2);
        assert_eq!(cloud.products(soon()).await.unwrap(), []);
        for said in
            ["not a list, but JSON with devices", "not a list, each a product, but JSON with products"]
        {
            assert_eq!(cloud.products(soon()).await.unwrap_err().said, said);
        }
    }

    #[tokio::test]
    async fn an_invisible_product_is_told_with_the_usual_cause() {
        let server = Scripted::start().await;
        let path = "GET /v1/products/1319";
        server.expect(path, 403, r#"{"ok":false,"error":"Forbidden"}"#);
        server.expect(path, 404, "");
        server.expect(path, 200, r#"{"product":[]}"#);
        let cloud = signed_in_cloud(&server);
        let product = ProductRef::parse("1319").unwrap();
        for said in ["Forbidden", "an empty answer"] {
            let error = cloud.product(&product, soon()).await.unwrap_err();
            assert_eq!((error.code, &*error.said), (FailureCode::ProductNotVisible, said));
            assert!(error.to_string().contains("made at account level"), "{error}");
        }
        let error = cloud.product(&product, soon()).await.unwrap_err();
        assert_eq!(error.code, FailureCode::CloudGarbled);
        assert_eq!(
            error.to_string(),
            "GET /v1/products/1319 was answered with 200: not a product, but JSON with product"
        );
    }
}
