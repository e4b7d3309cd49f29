use std::collections::HashSet;

use serde::{Deserialize, Deserializer};

use super::{
    Cloud, CloudError,
    auth::Subject,
    devices::number,
    http::{Answer, Body, Call, Kind},
};
use crate::model::{Deadline, DeviceId, ProductRef};

/// What became of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Import {
    /// It was no member and is one now.
    Added,
    /// It was a member before.
    AlreadyMember,
    /// Somebody outside the product's team owns it.
    OwnedByOther,
    /// It is no id that the cloud knows, or one of another platform.
    Invalid,
}

/// Older servers leave out all but the first and the last two.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ImportAnswer {
    #[serde(default, deserialize_with = "number")]
    updated: Option<u64>,
    #[serde(default, deserialize_with = "ids")]
    updated_device_ids: HashSet<String>,
    #[serde(default, deserialize_with = "ids")]
    existing_device_ids: HashSet<String>,
    #[serde(default, deserialize_with = "ids")]
    nonmember_device_ids: HashSet<String>,
    #[serde(default, deserialize_with = "ids")]
    invalid_device_ids: HashSet<String>,
}

impl ImportAnswer {
    /// What became of each id of one import; nothing for one of which the answer does not tell.
    fn fates(&self, ids: &[DeviceId]) -> Vec<Option<Import>> {
        let named = ids.iter().map(|id| self.names(id)).collect::<Vec<_>>();
        // Without its lists, the answer's number speaks for all that were not refused: all of them were
        // added, or none was. In between it does not tell which.
        let unnamed = named.iter().filter(|fate| fate.is_none()).count() as u64;
        let strangers = [&self.nonmember_device_ids, &self.invalid_device_ids]
            .into_iter()
            .any(|list| list.iter().any(|refused| !ids.iter().any(|id| id.as_str() == refused)));
        let of_the_rest = match self.updated {
            Some(updated) if updated == unnamed && self.updated_device_ids.is_empty() => Some(Import::Added),
            Some(0) if !strangers && self.updated_device_ids.is_empty() => Some(Import::AlreadyMember),
            _ => None,
        };
        named.into_iter().map(|fate| fate.or(of_the_rest)).collect()
    }

    fn names(&self, id: &DeviceId) -> Option<Import> {
        [
            (&self.nonmember_device_ids, Import::OwnedByOther),
            (&self.invalid_device_ids, Import::Invalid),
            (&self.existing_device_ids, Import::AlreadyMember),
            (&self.updated_device_ids, Import::Added),
        ]
        .into_iter()
        .find_map(|(list, fate)| list.contains(id.as_str()).then_some(fate))
    }
}

impl Cloud {
    /// Devices that one call of [`Cloud::import_many`] takes. The most that the cloud takes is not
    /// published.
    pub const IMPORTED_AT_ONCE: usize = 1000;

    /// `POST /v1/products/P/devices`: makes the device a member of the product.
    ///
    /// # Errors
    ///
    /// `ProductNotVisible` when the product does not exist or this client may not see it, besides what
    /// can go wrong in any call. A device that was not taken is an answer, not an error.
    pub async fn import(
        &self,
        product: &ProductRef,
        id: &DeviceId,
        deadline: Deadline,
    ) -> Result<Import, CloudError> {
        let form = Body::Form(&[("id", id.as_str())]);
        let answer = self.send_import(product, form, deadline).await?;
        answer.read("the result of an import", |wire: ImportAnswer| {
            wire.fates(std::slice::from_ref(id)).pop().flatten()
        })
    }

    /// The same for several at once, up to [`Cloud::IMPORTED_AT_ONCE`], as a file with an id on each line.
    /// Gives what became of each, in their order; nothing for one of which the cloud does not tell.
    ///
    /// # Errors
    ///
    /// Those of [`Cloud::import`].
    pub async fn import_many(
        &self,
        product: &ProductRef,
        ids: &[DeviceId],
        deadline: Deadline,
    ) -> Result<Vec<Option<Import>>, CloudError> {
        let mut text = String::new();
        for id in ids {
            text.push_str(id.as_str());
            text.push('\n');
        }
        let answer = self.send_import(product, Body::File(&text), deadline).await?;
        answer.read("the result of an import", |wire: ImportAnswer| {
            let fates = wire.fates(ids);
            fates.iter().any(Option::is_some).then_some(fates)
        })
    }

    async fn send_import(
        &self,
        product: &ProductRef,
        body: Body<'_>,
        deadline: Deadline,
    ) -> Result<Answer, CloudError> {
        let path = ["v1", "products", product.as_str(), "devices"];
        let call = Call { body, ..Call::repeatable_post(&path, &[]).about(Kind::OfProduct) };
        self.send_as(Subject::Product, &call, deadline).await
    }
}

/// The ids in a list, in lower case; null is an empty one.
fn ids<'de, D: Deserializer<'de>>(field: D) -> Result<HashSet<String>, D::Error> {
    let ids: Vec<String> = Option::deserialize(field)?.unwrap_or_default();
    Ok(ids.into_iter().map(|id| id.to_ascii_lowercase()).collect())
}

#[cfg(test)]
mod tests {
    use super::super::scripted::{ID, Scripted, id, product, signed_in_cloud, soon};
    use super::*;
    use crate::model::FailureCode;

    const IMPORT: &str = "POST /v1/products/1319/devices";

    async fn import(status: u16, body: &str) -> Result<Import, CloudError> {
        let server = Scripted::start().await;
        server.expect(IMPORT, status, &body.replace("ID", ID));
        let import = signed_in_cloud(&server).import(&product(), &id(), soon()).await;
        assert_eq!(server.seen()[0].body, format!("id={ID}"));
        import
    }

    #[tokio::test]
    async fn every_form_of_an_imports_answer_is_understood() {
        for (body, fate) in [
            (r#"{"updated":1,"nonmemberDeviceIds":[],"invalidDeviceIds":[]}"#, Import::Added),
            (r#"{"updated":"1","nonmemberDeviceIds":null}"#, Import::Added),
            (
                r#"{"updated":1,"updatedDeviceIds":["ID"],"existingDeviceIds":[],"nonmemberDeviceIds":[],"invalidDeviceIds":[]}"#,
                Import::Added,
            ),
            (
                r#"{"updated":0,"updatedDeviceIds":[],"existingDeviceIds":["ID"],"nonmemberDeviceIds":[],"invalidDeviceIds":[]}"#,
                Import::AlreadyMember,
            ),
            (r#"{"updated":1,"existingDeviceIds":["ID"]}"#, Import::AlreadyMember),
            (r#"{"updated":0,"nonmemberDeviceIds":[],"invalidDeviceIds":[]}"#, Import::AlreadyMember),
            (r#"{"updated":0,"nonmemberDeviceIds":["ID"],"invalidDeviceIds":[]}"#, Import::OwnedByOther),
            (
                r#"{"updated":0,"nonmemberDeviceIds":[],"invalidDeviceIds":["3B0021001747353236343033"]}"#,
                Import::Invalid,
            ),
        ] {
            assert_eq!(import(200, body).await.unwrap(), fate, "{body}");
        }
    }

    #[tokio::test]
    async fn an_import_that_says_nothing_of_the_device_is_garbled() {
        for body in
            ["{}", "[]", "", r#"{"updated":0,"nonmemberDeviceIds":["other"]}"#, "<title>Log in</title>"]
        {
            assert_eq!(import(200, body).await.unwrap_err().code, FailureCode::CloudGarbled, "{body}");
        }
        assert_eq!(import(404, "").await.unwrap_err().code, FailureCode::ProductNotVisible);
        assert_eq!(import(400, "").await.unwrap_err().code, FailureCode::CloudRefused);
    }

    #[tokio::test]
    async fn several_go_as_one_file_and_each_hears_its_fate() {
        let server = Scripted::start().await;
        let ids: Vec<_> = (0..5).map(|n| DeviceId::parse(&format!("{n:024x}")).unwrap()).collect();
        let answer = ids.iter().enumerate().fold(
            r#"{"updated":1,"updatedDeviceIds":["@0"],"existingDeviceIds":["@1"],"nonmemberDeviceIds":["@2"],"invalidDeviceIds":["@3"]}"#.to_owned(),
            |text, (n, id)| text.replace(&format!("@{n}"), &id.as_str().to_uppercase()),
        );
        server.expect(IMPORT, 200, &answer);
        let fates = signed_in_cloud(&server).import_many(&product(), &ids, soon()).await.unwrap();
        let [added, member, other, invalid] =
            [Import::Added, Import::AlreadyMember, Import::OwnedByOther, Import::Invalid].map(Some);
        assert_eq!(fates, [added, member, other, invalid, None]);
        let seen = &server.seen()[0];
        let (_, boundary) = seen.head.split_once("multipart/form-data; boundary=").unwrap();
        let boundary = boundary.lines().next().unwrap();
        let file: String = ids.iter().map(|id| format!("{id}\n")).collect();
        assert!(seen.body.starts_with(&format!("--{boundary}\r\n")), "{}", seen.body);
        assert!(seen.body.ends_with(&format!("\r\n\r\n{file}\r\n--{boundary}--\r\n")), "{}", seen.body);
    }

    #[test]
    fn an_older_servers_number_speaks_for_all_that_were_not_refused() {
        let ids: Vec<_> = (0..3).map(|n| DeviceId::parse(&format!("{n:024x}")).unwrap()).collect();
        let fates = |updated: u64, refused: &[&DeviceId]| {
            let answer = serde_json::json!({"updated": updated, "nonmemberDeviceIds": refused});
            serde_json::from_value::<ImportAnswer>(answer).unwrap().fates(&ids)
        };
        let [added, member, other] = [Import::Added, Import::AlreadyMember, Import::OwnedByOther].map(Some);
        assert_eq!(fates(3, &[]), [added; 3]);
        assert_eq!(fates(0, &[]), [member; 3]);
        assert_eq!(fates(2, &[&ids[1]]), [added, other, added]);
        assert_eq!(fates(0, &[&ids[1]]), [member, other, member]);
        assert_eq!(fates(1, &[]), [None; 3]);
    }
}
