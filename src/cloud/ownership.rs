use super::{Cloud, CloudError, auth::Subject, http::Call};
use crate::model::{Customer, Deadline, DeviceId, ProductRef};

impl Cloud {
    /// `DELETE /v1/products/P/devices/D`: the device is no member of the product any more. Its owner, if it
    /// has one, stays, and the product's calls show it no longer: so unclaim it first.
    ///
    /// # Errors
    ///
    /// What can go wrong in any call. A refusal is none if the product does not have the device.
    pub async fn remove(
        &self,
        product: &ProductRef,
        id: &DeviceId,
        deadline: Deadline,
    ) -> Result<(), CloudError> {
        let path = ["v1", "products", product.as_str(), "devices", id.as_str()];
        match self.send_as(Subject::Product, &Call::delete(&path), deadline).await {
            Ok(_) => Ok(()),
            // What the cloud says to a second removal is not published, so the record decides.
            Err(refusal) if refusal.status.is_some_and(|status| (400..500).contains(&status)) => {
                match self.device(product, id, deadline).await {
                    Ok(None) => Ok(()),
                    _ => Err(refusal),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// `DELETE /v1/devices/D` with the user's own token: gives up a device of the user's.
    ///
    /// # Errors
    ///
    /// `Configuration` without a user's token, besides what can go wrong in any call. A refusal is none if
    /// the device is not the user's.
    pub async fn give_up(&self, id: &DeviceId, deadline: Deadline) -> Result<(), CloudError> {
        let path = ["v1", "devices", id.as_str()];
        match self.send_as(Subject::User, &Call::delete(&path), deadline).await {
            Ok(_) => Ok(()),
            Err(refusal) if refusal.status.is_some_and(|status| (400..500).contains(&status)) => {
                match self.user_devices(deadline).await {
                    Ok(devices) if devices.iter().all(|device| device.id != *id) => Ok(()),
                    _ => Err(refusal),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// `POST /v1/devices` with the customer's token: the customer becomes the device's owner. A member of
    /// a product need not be online for that. The customer is made if need be.
    ///
    /// # Errors
    ///
    /// Those of [`Cloud::customer_token`], and what can go wrong in any call.
    pub async fn claim_for_customer(
        &self,
        product: &ProductRef,
        customer: &Customer,
        id: &DeviceId,
        deadline: Deadline,
    ) -> Result<(), CloudError> {
        let form = [("id", id.as_str())];
        let call = Call::repeatable_post(&["v1", "devices"], &form);
        self.send_as(Subject::Customer(product, customer), &call, deadline).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::super::scripted::{
        ID, Scripted, client_cloud, id, product, signed_in_cloud, soon, token_answer,
    };
    use super::*;
    use crate::model::FailureCode;

    #[tokio::test]
    async fn a_removal_that_is_refused_is_judged_by_the_record() {
        let server = Scripted::start().await;
        let path = format!("/v1/products/1319/devices/{ID}");
        let cloud = signed_in_cloud(&server);
        server.expect(&format!("DELETE {path}"), 204, "");
        cloud.remove(&product(), &id(), soon()).await.unwrap();
        server.expect(&format!("DELETE {path}"), 404, "");
        server.expect(&format!("GET {path}"), 404, "");
        cloud.remove(&product(), &id(), soon()).await.unwrap();
        server.expect(&format!("DELETE {path}"), 403, r#"{"error":"not yours"}"#);
        server.expect(&format!("GET {path}"), 200, &format!(r#"{{"id":"{ID}"}}"#));
        let refusal = cloud.remove(&product(), &id(), soon()).await.unwrap_err();
        assert_eq!((refusal.code, &*refusal.said), (FailureCode::CloudRefused, "not yours"));
    }

    #[tokio::test]
    async fn a_device_is_given_up_once_and_the_second_time_finds_it_gone() {
        let server = Scripted::start().await;
        let give_up = format!("DELETE /v1/devices/{ID}");
        let cloud = signed_in_cloud(&server);
        server.expect(&give_up, 200, r#"{"ok":true}"#);
        cloud.give_up(&id(), soon()).await.unwrap();
        server.expect(&give_up, 403, "");
        server.expect("GET /v1/devices", 200, "[]");
        cloud.give_up(&id(), soon()).await.unwrap();
        server.expect(&give_up, 403, r#"{"error":"not now"}"#);
        server.expect("GET /v1/devices", 200, &format!(r#"[{{"id":"{ID}"}}]"#));
        assert_eq!(cloud.give_up(&id(), soon()).await.unwrap_err().said, "not now");
    }

    #[tokio::test]
    async fn a_customer_claims_by_id_with_a_token_of_its_own() {
        let server = Scripted::start().await;
        server.expect("POST /v1/products/1319/customers", 200, &token_answer("anns"));
        server.expect("POST /v1/devices", 200, r#"{"ok":true}"#);
        let ann = Customer::parse("ann@x.example").unwrap();
        client_cloud(&server).claim_for_customer(&product(), &ann, &id(), soon()).await.unwrap();
        let claim = &server.seen()[1];
        assert!(claim.head.contains("Bearer anns"));
        assert_eq!(claim.body, format!("id={ID}"));
    }
}
