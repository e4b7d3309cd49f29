use serde::Deserialize;

use super::{Cloud, CloudError, Listed, auth::Subject, devices::text, http::Call, list::Kindred};
use crate::model::Deadline;

/// An organization that a user is in. Texts are from outside, as is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// The name that it goes by in paths.
    pub slug: String,
    /// As its people call it.
    pub name: Option<String>,
}

#[derive(Deserialize)]
struct WireOrganization {
    #[serde(default, deserialize_with = "text")]
    slug: Option<String>,
    #[serde(default, deserialize_with = "text")]
    id: Option<String>,
    #[serde(default, deserialize_with = "text")]
    name: Option<String>,
}

const ORGANIZATIONS: Kindred<WireOrganization, Organization> = Kindred {
    what: "an organization",
    fields: &["organizations", "orgs"],
    parse: |wire| Some(Organization { slug: wire.slug.or(wire.id)?, name: wire.name }),
};

impl Cloud {
    /// `GET /v1/orgs`: the organizations that the user is in.
    ///
    /// # Errors
    ///
    /// `Configuration` without a user's token, besides what can go wrong in any call.
    pub async fn organizations(&self, deadline: Deadline) -> Result<Vec<Listed<Organization>>, CloudError> {
        ORGANIZATIONS.of(&self.send_as(Subject::User, &Call::get(&["v1", "orgs"]), deadline).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::scripted::{Scripted, signed_in_cloud, soon};

    #[tokio::test]
    async fn there_may_be_none_some_or_a_bare_list() {
        let server = Scripted::start().await;
        let cloud = signed_in_cloud(&server);
        let acme = r#"{"name":"Acme","slug":"acme","id":"1"}"#;
        for (body, slugs) in [
            (r#"{"organizations":[]}"#.to_owned(), &[][..]),
            (format!(r#"{{"organizations":[{acme}]}}"#), &["acme"]),
            (format!("[{acme},{{\"id\":\"x\"}}]"), &["acme", "x"]),
        ] {
            server.expect("GET /v1/orgs", 200, &body);
            let listed = cloud.organizations(soon()).await.unwrap();
            assert_eq!(listed.iter().map(|org| org.record.slug.as_str()).collect::<Vec<_>>(), slugs);
        }
    }
}
