//! Who gets which board, from a file.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::model::{Customer, DeviceId, Failure, FailureCode};

/// What one board is ordered for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The board; without it, the next one that has none.
    pub device_id: Option<DeviceId>,
    /// Whose it shall be; without it, as for every board.
    pub customer: Option<Customer>,
    /// What the cloud shall call it.
    pub name: Option<String>,
    /// What the cloud shall note about it.
    pub note: Option<String>,
    /// The same for the same row, also in a longer file and at another bench; another one for another
    /// row, even one of the same content.
    pub key: String,
}

/// How many refused rows are named.
const NAMED: usize = 10;

/// Reads a table with a head line of `device_id`, `customer`, `name` and `note`, in any order; other
/// columns are passed over. Either every row names its board, or there is no column for it.
///
/// # Errors
///
/// `Configuration`, with the lines of the rows that cannot be used.
pub fn parse_orders(text: &str) -> Result<Vec<Order>, Failure> {
    let text = text.trim_start_matches('\u{feff}');
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let head = reader.headers().map_err(|e| refused(&[e.to_string()]))?.clone();
    let column = |name: &str| head.iter().position(|title| title.eq_ignore_ascii_case(name));
    let (device_id, customer) = (column("device_id"), column("customer"));
    let (name, note) = (column("name"), column("note"));
    if device_id.is_none() && customer.is_none() {
        return Err(refused(&["line 1 has neither a column device_id nor customer".into()]));
    }
    let mut orders = Vec::new();
    let mut wrong = Vec::new();
    let mut lines_of = BTreeMap::new();
    let mut times = BTreeMap::<String, u32>::new();
    for row in reader.records() {
        let row = match row {
            Ok(row) => row,
            Err(error) => {
                wrong.push(match error.position() {
                    Some(at) => format!("line {}: not a row of the table", at.line()),
                    None => error.to_string(),
                });
                continue;
            }
        };
        let line = row.position().map_or(0, csv::Position::line);
        if row.iter().all(str::is_empty) {
            continue;
        }
        let field = |column: Option<usize>| column.and_then(|n| row.get(n)).filter(|text| !text.is_empty());
        let mut read = || {
            let id = match (device_id, field(device_id)) {
                (None, _) => None,
                (Some(_), Some(text)) => Some(DeviceId::parse(text).map_err(|e| e.to_string())?),
                (Some(_), None) => return Err("the device id is missing".to_owned()),
            };
            let customer =
                field(customer).map(Customer::parse).transpose().map_err(|invalid| invalid.to_string())?;
            if device_id.is_none() && customer.is_none() {
                return Err("the customer is missing".to_owned());
            }
            let text = |column, what: &str| match field(column) {
                Some(text) if text.chars().any(char::is_control) => {
                    Err(format!("the {what} cannot hold control characters"))
                }
                text => Ok(text.map(str::to_owned)),
            };
            let (name, note) = (text(name, "name")?, text(note, "note")?);
            if let Some(id) = &id
                && let Some(first) = lines_of.insert(id.clone(), line)
            {
                return Err(format!("device {id} is in line {first} as well"));
            }
            let key = match &id {
                Some(id) => id.to_string(),
                None => {
                    let content =
                        key(&[customer.as_ref().map(Customer::as_str), name.as_deref(), note.as_deref()]);
                    let time = times.entry(content.clone()).or_default();
                    *time += 1;
                    format!("{content}-{time}")
                }
            };
            Ok(Order { device_id: id, customer, name, note, key })
        };
        match read() {
            Ok(order) => orders.push(order),
            Err(why) => wrong.push(format!("line {line}: {why}")),
        }
    }
    match (&wrong[..], orders.is_empty()) {
        ([], false) => Ok(orders),
        ([], true) => Err(refused(&["no row at all".into()])),
        _ => Err(refused(&wrong)),
    }
}

fn refused(wrong: &[String]) -> Failure {
    let mut detail = format!("the orders cannot be used: {}", wrong[..wrong.len().min(NAMED)].join("; "));
    if wrong.len() > NAMED {
        detail += &format!("; and {} more", wrong.len() - NAMED);
    }
    // Not `Failure::new`, which would cut a long list; no part of it comes from outside as it is.
    Failure { code: FailureCode::Configuration, step: None, detail, source: None }
}

/// The row's content in short.
fn key(fields: &[Option<&str>]) -> String {
    let mut hash = Sha256::new();
    for field in fields {
        hash.update(field.unwrap_or_default());
        hash.update([0]);
    }
    base16ct::lower::encode_string(&hash.finalize()[..12])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "3b0021001747353236343033";

    fn said(text: &str) -> String {
        parse_orders(text).unwrap_err().to_string()
    }

    #[test]
    fn rows_become_orders_whatever_the_table_looks_like() {
        let text = format!(
            "\u{feff}Note,extra,DEVICE_ID,customer,name\r\nfragile,x,{},a@b.example , kitchen\r\n,,,,\r\n",
            ID.to_uppercase()
        );
        let orders = parse_orders(&text).unwrap();
        let [order] = &orders[..] else { panic!("{orders:?}") };
        assert_eq!(order.device_id.as_ref().unwrap().as_str(), ID);
        assert_eq!(order.customer.as_ref().unwrap().as_str(), "a@b.example");
        assert_eq!((order.name.as_deref(), order.note.as_deref()), (Some("kitchen"), Some("fragile")));
        assert_eq!(order.key, ID);
    }

    #[test]
    fn rows_without_a_device_are_told_apart_and_keep_their_keys() {
        let first = parse_orders("customer\na@b\na@b\nc@d\n").unwrap();
        let keys: std::collections::BTreeSet<_> = first.iter().map(|order| &order.key).collect();
        assert_eq!(keys.len(), 3);
        let later = parse_orders("name,customer\n,c@d\n,a@b\n,a@b\nx,a@b\n").unwrap();
        assert!(keys.iter().all(|key| later.iter().any(|order| order.key == **key)), "{first:?} {later:?}");
    }

    #[test]
    fn all_rows_that_cannot_be_used_are_named_by_line() {
        let text =
            format!("device_id,customer\n{ID},a@b\n123,a@b\n,a@b\n{ID},c@d\n{ID},a,b\n\"{ID}\",\"a\nb\"\n");
        assert_eq!(
            said(&text),
            format!(
                "the orders cannot be used: line 3: a device id has 24 hexadecimal digits; line 4: the device id \
                 is missing; line 5: device {ID} is in line 2 as well; line 6: not a row of the table; line 7: a \
                 customer cannot hold control characters"
            )
        );
        assert!(said("customer\n\"\",\n").contains("line 2"), "{}", said("customer\n\"\",\n"));
        assert!(said("name,note\na,b\n").contains("neither a column device_id nor customer"));
        assert!(said("customer\n").contains("no row at all"));
        let many = format!("device_id\n{}", "x\n".repeat(12));
        assert!(said(&many).ends_with("; and 2 more"), "{}", said(&many));
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "[a-z@,;\"\r\n\u{feff} ]{0,60}", head in "(device_id|customer|customer,name)\r?\n") {
            if let Ok(orders) = parse_orders(&format!("{head}{text}")) {
                let keys: std::collections::BTreeSet<_> = orders.iter().map(|order| &order.key).collect();
                prop_assert_eq!(keys.len(), orders.len());
            }
        }
    }
}
