use serde::Deserialize;

use super::{Cloud, CloudError, auth::Subject, http::Call};
use crate::model::{ClaimCode, Customer, Deadline, ProductRef};

#[derive(Deserialize)]
struct ClaimAnswer {
    claim_code: String,
}

impl Cloud {
    /// `POST /v1/products/P/device_claims` with the customer's token: a fresh code that moves whatever
    /// device presents it to the customer. The customer is made if need be.
    ///
    /// # Errors
    ///
    /// Those of [`Cloud::customer_token`], and `CloudGarbled` for a code that no device would take.
    pub async fn customer_claim_code(
        &self,
        product: &ProductRef,
        customer: &Customer,
        deadline: Deadline,
    ) -> Result<ClaimCode, CloudError> {
        let path = ["v1", "products", product.as_str(), "device_claims"];
        self.claim_code(Subject::Customer(product, customer), &path, deadline).await
    }

    /// `POST /v1/device_claims` with the user's own token: a fresh code that moves whatever device
    /// presents it to the user.
    ///
    /// # Errors
    ///
    /// `Configuration` without a user's token; `CloudGarbled` for a code that no device would take;
    /// besides what can go wrong in any call.
    pub async fn user_claim_code(&self, deadline: Deadline) -> Result<ClaimCode, CloudError> {
        self.claim_code(Subject::User, &["v1", "device_claims"], deadline).await
    }

    async fn claim_code(
        &self,
        subject: Subject<'_>,
        path: &[&str],
        deadline: Deadline,
    ) -> Result<ClaimCode, CloudError> {
        let answer = self.send_as(subject, &Call::repeatable_post(path, &[]), deadline).await?;
        answer.read("a claim code", |wire: ClaimAnswer| ClaimCode::parse(&wire.claim_code).ok())
    }
}
