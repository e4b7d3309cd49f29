use futures_util::Stream;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::{
    AccessToken, Cloud, CloudError, Listed,
    access_tokens::read_token,
    auth::Subject,
    devices::text,
    http::{Call, Kind},
    list::Kindred,
};
use crate::model::{Customer, Deadline, ProductRef, guard};

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

/// A customer as a list shows it. Texts are from outside, as is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerRecord {
    /// What it was made with: an e-mail address or any other text.
    pub name: String,
    /// The cloud's own id.
    pub id: Option<String>,
    /// When it was made, as the cloud writes it.
    pub created_at: Option<String>,
}

#[derive(Deserialize)]
struct WireCustomer {
    #[serde(alias = "email", deserialize_with = "text")]
    username: Option<String>,
    #[serde(default, deserialize_with = "text")]
    id: Option<String>,
    #[serde(default, deserialize_with = "text")]
    created_at: Option<String>,
}

const CUSTOMERS: Kindred<WireCustomer, CustomerRecord> = Kindred {
    what: "a customer",
    fields: &["customers"],
    parse: |wire| Some(CustomerRecord { name: wire.username?, id: wire.id, created_at: wire.created_at }),
};

impl Cloud {
    /// `GET /v1/products/P/customers`, page by page: the product's customers, of whom the cloud shows one
    /// only once a device has been claimed to it.
    ///
    /// # Errors
    ///
    /// `ProductNotVisible` when the product does not exist or this client may not see it, besides what can
    /// go wrong in any call; also after some customers.
    pub fn customers(
        &self,
        product: &ProductRef,
    ) -> impl Stream<Item = Result<Listed<CustomerRecord>, CloudError>> + use<> {
        let path = ["v1", "products", product.as_str(), "customers"].map(str::to_owned);
        self.in_pages(path.into(), CUSTOMERS)
    }

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
            (token, was) = match self.post_customer(product, customer, None, deadline).await {
                Ok(token) => (token, CustomerWas::Created),
                Err(refusal) if says_exists(&refusal, customer) => {
                    (self.sign_in_as(customer, None, deadline).await?, CustomerWas::Existing)
                }
                Err(error) => return Err(error),
            };
            Ok(token)
        };
        let subject = Subject::Customer(product, customer).key();
        let token = self.shared.tokens.get_or(&subject, deadline, get).await?;
        Ok((token, was))
    }

    /// Makes a customer: a shadow customer, or with a password one that signs in by itself (simple auth).
    /// Says `Created` or `Existing`; of one that existed nothing is changed, its password neither.
    ///
    /// # Errors
    ///
    /// Those of [`Cloud::customer_token`].
    pub async fn create_customer(
        &self,
        product: &ProductRef,
        customer: &Customer,
        password: Option<&SecretString>,
        deadline: Deadline,
    ) -> Result<CustomerWas, CloudError> {
        match self.post_customer(product, customer, password, deadline).await {
            Ok(token) => {
                let subject = Subject::Customer(product, customer).key();
                self.shared.tokens.keep(&subject, token, deadline).await;
                Ok(CustomerWas::Created)
            }
            Err(refusal) if says_exists(&refusal, customer) => Ok(CustomerWas::Existing),
            Err(error) => Err(error),
        }
    }

    /// `DELETE /v1/products/P/customers/NAME`: the cloud revokes the customer's tokens and claim codes; its
    /// devices stay in the product.
    ///
    /// # Errors
    ///
    /// `CloudRefused` with 404 for one that does not exist, besides what can go wrong in any call.
    pub async fn delete_customer(
        &self,
        product: &ProductRef,
        customer: &Customer,
        deadline: Deadline,
    ) -> Result<(), CloudError> {
        let path = ["v1", "products", product.as_str(), "customers", customer.as_str()];
        self.send_as(Subject::Product, &Call::delete(&path), deadline).await?;
        let subject = Subject::Customer(product, customer).key();
        if let Some(token) = self.shared.tokens.kept(&subject, deadline).await {
            self.shared.tokens.forget(&subject, &token, deadline).await;
        }
        Ok(())
    }

    /// `POST /v1/products/P/customers`. A repeated one hears that the customer exists.
    async fn post_customer(
        &self,
        product: &ProductRef,
        customer: &Customer,
        password: Option<&SecretString>,
        deadline: Deadline,
    ) -> Result<AccessToken, CloudError> {
        let path = ["v1", "products", product.as_str(), "customers"];
        password.iter().for_each(|password| guard(password.expose_secret()));
        let choice = match password {
            Some(password) => ("password", password.expose_secret()),
            None => ("no_password", "true"),
        };
        let form = [("email", customer.as_str()), choice];
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
    use futures_util::TryStreamExt;

    use super::super::scripted::{
        SECRET, Scripted, client_cloud, product, signed_in_cloud, soon, token_answer,
    };
    use super::*;
    use crate::model::{ClaimCode, FailureCode};

    const CREATE: &str = "POST /v1/products/1319/customers";
    const SIGN_IN: &str = "POST /oauth/token";
    const CLAIM: &str = "POST /v1/products/1319/device_claims";
    const EXISTS: &str = r#"{"ok":false,"error":"Customer already exists"}"#;

    fn ann() -> Customer {
        Customer::parse("Ann+1@x.example").unwrap()
    }

    async fn token(cloud: &Cloud) -> Result<(String, CustomerWas), CloudError> {
        let (token, was) = cloud.customer_token(&product(), &ann(), soon()).await?;
        Ok((token.expose().to_owned(), was))
    }

    #[tokio::test]
    async fn a_new_customer_is_made_in_one_request_and_kept() {
        let server = Scripted::start().await;
        server.expect(CREATE, 200, &token_answer("anns"));
        let cloud = client_cloud(&server);
        assert_eq!(token(&cloud).await.unwrap(), ("anns".into(), CustomerWas::Created));
        assert_eq!(token(&cloud).await.unwrap(), ("anns".into(), CustomerWas::Cached));
        assert_eq!(server.seen()[0].body, "email=Ann%2B1%40x.example&no_password=true");
    }

    #[tokio::test]
    async fn a_customer_that_exists_is_signed_in_for() {
        let server = Scripted::start().await;
        server.expect(CREATE, 400, EXISTS);
        server.expect(SIGN_IN, 200, &token_answer("anns"));
        assert_eq!(token(&client_cloud(&server)).await.unwrap(), ("anns".into(), CustomerWas::Existing));
        let form = "grant_type=client_credentials&scope=customer%3DAnn%2B1%40x.example";
        assert_eq!(server.seen()[1].body, form);
    }

    #[tokio::test]
    async fn a_creation_whose_answer_was_lost_leads_on_to_the_token() {
        let server = Scripted::start().await;
        server.expect_and_drop(CREATE);
        server.expect(CREATE, 409, EXISTS);
        server.expect(SIGN_IN, 200, &token_answer("anns"));
        assert_eq!(token(&client_cloud(&server)).await.unwrap(), ("anns".into(), CustomerWas::Existing));
    }

    #[tokio::test]
    async fn another_refusal_of_a_creation_is_the_answer() {
        let server = Scripted::start().await;
        let cloud = client_cloud(&server);
        server.expect(CREATE, 400, r#"{"error":"Invalid email"}"#);
        let error = token(&cloud).await.unwrap_err();
        assert_eq!((error.code, &*error.said), (FailureCode::CloudRefused, "Invalid email"));
        server.expect(CREATE, 404, r#"{"error":"Product does not exist"}"#);
        assert_eq!(token(&cloud).await.unwrap_err().code, FailureCode::ProductNotVisible);
    }

    #[tokio::test]
    async fn a_claim_code_is_asked_for_with_the_customers_token_which_is_renewed_once() {
        let server = Scripted::start().await;
        let code = "3GjxEdDu3eIWEs5C9WMun5etWsIC7KreXXHQ2JXAfBorHv+t26F04cFObo/FsL5";
        server.expect(CREATE, 200, &token_answer("anns-1"));
        server.expect(CLAIM, 401, r#"{"error":"invalid_token"}"#);
        server.expect(CREATE, 400, EXISTS);
        server.expect(SIGN_IN, 200, &token_answer("anns-2"));
        server.expect(CLAIM, 200, &format!(r#"{{"claim_code":"{code}","device_ids":[]}}"#));
        let cloud = client_cloud(&server);
        let got = cloud.customer_claim_code(&product(), &ann(), soon()).await.unwrap();
        assert_eq!(got, ClaimCode::parse(code).unwrap());
        assert!(server.seen()[4].head.contains("Bearer anns-2"));
    }

    #[tokio::test]
    async fn a_code_that_no_device_would_take_is_garbled_and_not_shown() {
        let server = Scripted::start().await;
        let cloud = client_cloud(&server);
        server.expect(CREATE, 200, &token_answer("anns"));
        for body in [r#"{"claim_code":"too-short"}"#, r#"{"claim_code":null}"#, "{}"] {
            server.expect(CLAIM, 200, body);
            let error = cloud.customer_claim_code(&product(), &ann(), soon()).await.unwrap_err();
            assert_eq!(error.code, FailureCode::CloudGarbled);
            assert!(!error.to_string().contains("too-short") && !error.to_string().contains(SECRET));
        }
    }

    #[tokio::test]
    async fn a_developers_code_is_asked_for_with_their_own_token() {
        let server = Scripted::start().await;
        let code = "A".repeat(63);
        server.expect("POST /v1/device_claims", 200, &format!(r#"{{"claim_code":"{code}"}}"#));
        assert_eq!(client_cloud(&server).user_claim_code(soon()).await.unwrap().expose(), code);
        assert!(server.seen()[0].head.contains("Bearer the-users-own-token"));
    }

    #[tokio::test]
    async fn customers_are_listed_page_by_page_by_either_name() {
        let server = Scripted::start().await;
        let page = |n| format!("GET /v1/products/1319/customers?page={n}&perPage=100");
        let first = r#"{"customers":[{"id":"c1","username":"ann","new":1}],"meta":{"total_pages":2}}"#;
        server.expect(&page(1), 200, first);
        let second = r#"{"customers":[{"email":"bob","id":7}],"meta":{"total_pages":2}}"#;
        server.expect(&page(2), 200, second);
        let listed: Vec<_> = signed_in_cloud(&server).customers(&product()).try_collect().await.unwrap();
        let names: Vec<_> = listed.iter().map(|listed| &*listed.record.name).collect();
        assert_eq!(names, ["ann", "bob"]);
        assert_eq!(listed[0].json, r#"{"id":"c1","username":"ann","new":1}"#);
    }

    #[tokio::test]
    async fn a_customer_with_a_password_is_made_and_one_that_exists_is_left_alone() {
        let server = Scripted::start().await;
        let cloud = client_cloud(&server);
        server.expect(CREATE, 200, &token_answer("anns"));
        let create =
            async || cloud.create_customer(&product(), &ann(), Some(&"pass word&".into()), soon()).await;
        assert_eq!(create().await.unwrap(), CustomerWas::Created);
        assert_eq!(server.seen()[0].body, "email=Ann%2B1%40x.example&password=pass+word%26");
        // Its token is kept.
        assert_eq!(token(&cloud).await.unwrap(), ("anns".into(), CustomerWas::Cached));
        server.expect(CREATE, 400, EXISTS);
        assert_eq!(create().await.unwrap(), CustomerWas::Existing);
    }

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
