use super::{
    AccessToken, Cloud, CloudError,
    access_tokens::read_token,
    auth::Subject,
    http::{Call, Kind},
};
use crate::model::{Customer, Deadline, ProductRef};

/// How a customer's token was come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CustomerWas {
    /// The token was at hand: the customer exists, as far as we know.
    Cached,
    /// The customer was made just now.
    Created,
    /// The customer existed.
    Existing,
}

impl Cloud {
    /// Makes sure that the customer exists and gets a token for it.
    ///
    /// Creating comes first, as its answer holds the token; only if the customer exists, its token is
    /// asked for.
    ///
    /// # Errors
    ///
    /// `Configuration` without an OAuth client; `SignInRefused` and `SignInHeldBack` as for
    /// [`Cloud::product_token`]; `ProductNotVisible` when the product does not exist or this client
    /// may not see it; besides what can go wrong in any call.
    pub async fn customer_token(
        &self,
        product: &ProductRef,
        customer: &Customer,
        deadline: Deadline,
    ) -> Result<(AccessToken, CustomerWas), CloudError> {
        let mut was = CustomerWas::Cached;
        let get = async {
            let token;
            (token, was) = match self.create_shadow_customer(product, customer, deadline).await {
                Ok(token) => (token, CustomerWas::Created),
                Err(refusal) if says_exists(&refusal, customer) => {
                    (self.sign_in_as(customer, deadline).await?, CustomerWas::Existing)
                }
                Err(error) => return Err(error),
            };
            Ok(token)
        };
        let subject = Subject::Customer(product, customer).key();
        let token = self.shared.tokens.get_or(&subject, deadline, get).await?;
        Ok((token, was))
    }

    /// `POST /v1/products/P/customers`. A repeated one hears that the customer exists.
    async fn create_shadow_customer(
        &self,
        product: &ProductRef,
        customer: &Customer,
        deadline: Deadline,
    ) -> Result<AccessToken, CloudError> {
        let path = ["v1", "products", product.as_str(), "customers"];
        let form = [("email", customer.as_str()), ("no_password", "true")];
        let call = Call::repeatable_post(&path, &form).about(Kind::CreateCustomer);
        read_token(self.send_as_client(&call, deadline).await?)
    }
}

/// Whether a refused creation means that the customer exists. The words are not published; those that
/// are looked for are whole ones, outside the customer's own name, and not "does not exist".
fn says_exists(refusal: &CloudError, customer: &Customer) -> bool {
    if !matches!(refusal.status, Some(400..=499)) || matches!(refusal.status, Some(401 | 404 | 408 | 429)) {
        return false;
    }
    let said = refusal.said.to_lowercase().replace(&customer.as_str().to_lowercase(), "");
    let words: Vec<_> = said.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    // "doesn't" is two words here.
    let denied = words.windows(2).any(|pair| matches!(pair[0], "not" | "t") && pair[1].starts_with("exist"));
    let exists = words.iter().any(|word| word.starts_with("exist") || ["already", "taken"].contains(word))
        || words.windows(2).any(|pair| pair == ["in", "use"]);
    exists && !denied
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FailureCode;

    fn exists(status: u16, said: &str) -> bool {
        let refusal = CloudError::new(FailureCode::CloudRefused, "POST", Some(status), said);
        says_exists(&refusal, &Customer::parse("taken@exist.example").unwrap())
    }

    #[test]
    fn a_customer_exists_if_a_refusal_says_so_in_any_usual_words() {
        assert!(exists(400, "A customer with this email already exists"));
        assert!(exists(409, "Email taken@exist.example is taken"));
        assert!(exists(422, "email in use"));
        assert!(exists(400, "customer_exists"));
    }

    #[test]
    fn other_refusals_do_not_burn_a_sign_in() {
        assert!(!exists(400, "Invalid email: Taken@exist.example"));
        assert!(!exists(400, "Product does not exist"));
        assert!(!exists(400, "the domain doesn't exist"));
        assert!(!exists(404, "Product already removed"));
        assert!(!exists(401, "already tried"));
        assert!(!exists(400, "mistaken main user"));
        assert!(!exists(500, "already exists"));
    }
}
