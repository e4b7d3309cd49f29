//! Who gets which board, from a file and by barcodes.

use std::collections::BTreeMap;

use crate::{
    model::{CustomerTemplate, DeviceId, Failure},
    record::NewOrder,
};

/// Where orders come from.
#[derive(Debug, Clone)]
pub struct Orders {
    /// Their source's name in the ledger.
    pub source: String,
    /// A board without an order gets one by a barcode.
    pub scan: Option<Scan>,
    /// A board without an order is worked on all the same.
    pub are_optional: bool,
}

/// What barcodes mean: a customer or an order, or else the board that is to come next.
#[derive(Debug, Clone)]
pub enum Scan {
    /// A customer of the board that it is scanned for.
    Customers {
        /// What a barcode is put into, to make a customer.
        template: Option<String>,
        /// Whether there is a customer for boards whose barcode names none.
        has_default: bool,
    },
    /// One of these orders, by what it says.
    Orders(Vec<NewOrder>),
}

impl Scan {
    /// Where in a template the barcode goes.
    pub const HOLE: &str = "{scan}";

    /// Whether this barcode says whose a board is.
    pub(super) fn takes(&self, text: &str) -> bool {
        let is_plain = !text.is_empty() && !text.chars().any(char::is_control) && !text.contains(['{', '}']);
        let names_a_board = DeviceId::parse(text).is_ok();
        match self {
            Self::Customers { template: Some(_), .. } => is_plain,
            Self::Customers { template: None, has_default } => is_plain && names_a_board == *has_default,
            Self::Orders(orders) => names_a_board || orders.iter().any(|order| order.says(text)),
        }
    }
}

/// How many refused rows are named.
const NAMED: usize = 10;

/// Reads a table with a head line of `device_id`, `customer`, `name` and `note`, in any order; other
/// columns are passed over. Either every row names its board, or there is no column for it. Its columns are
/// separated by commas, or as spreadsheets do it in other countries: by semicolons or tabs.
///
/// # Errors
///
/// `Configuration`, with the lines of the rows that cannot be used.
pub fn parse_orders(text: &str) -> Result<Vec<NewOrder>, Failure> {
    let text = text.trim_start_matches('\u{feff}');
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(separator(text))
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let head = reader.headers().map_err(|e| refused(&[e.to_string()]))?.clone();
    let column = |name: &str| {
        let mut places = head.iter().enumerate().filter(|(_, title)| title.eq_ignore_ascii_case(name));
        match (places.next(), places.next()) {
            (_, Some(_)) => Err(refused(&[format!("line 1 has two columns {name}")])),
            (first, None) => Ok(first.map(|(place, _)| place)),
        }
    };
    let (device_id, customer) = (column("device_id")?, column("customer")?);
    let (name, note) = (column("name")?, column("note")?);
    if device_id.is_none() && customer.is_none() {
        return Err(refused(&["line 1 has neither a column device_id nor customer".into()]));
    }
    let mut orders = Vec::new();
    let mut wrong = Vec::new();
    let mut lines_of = BTreeMap::new();
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
            let customer = field(customer).map(|text| match CustomerTemplate::parse(text) {
                Ok(_) => Ok(text.to_owned()),
                Err(invalid) => Err(invalid.to_string()),
            });
            let customer = customer.transpose()?;
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
            Ok(NewOrder { device_id: id, customer, name, note })
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

/// What separates the columns of the first line.
fn separator(text: &str) -> u8 {
    let head = text.lines().next().unwrap_or_default().as_bytes();
    *b",;\t"
        .iter()
        .max_by_key(|&&byte| (head.iter().filter(|b| **b == byte).count(), byte == b','))
        .unwrap_or(&b',')
}

fn refused(wrong: &[String]) -> Failure {
    let mut detail = format!("the orders cannot be used: {}", wrong[..wrong.len().min(NAMED)].join("; "));
    if wrong.len() > NAMED {
        detail += &format!("; and {} more", wrong.len() - NAMED);
    }
    // Not `Failure::new`, which would cut a long list; no part of it comes from outside as it is.
    Failure { detail, ..Failure::configuration("", "mend these lines of the file that --orders names") }
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
        assert_eq!(order.customer.as_deref(), Some("a@b.example"));
        assert_eq!((order.name.as_deref(), order.note.as_deref()), (Some("kitchen"), Some("fragile")));
    }

    #[test]
    fn tables_of_any_spreadsheet_are_read() {
        for separator in [",", ";", "\t"] {
            let text = format!("device_id,customer,name\n{ID},a@b.example,kitchen\n").replace(',', separator);
            let orders = parse_orders(&text).unwrap();
            assert_eq!(orders[0].customer.as_deref(), Some("a@b.example"), "{separator:?}");
        }
        assert_eq!(parse_orders("customer\na@b.example\n").unwrap().len(), 1);
    }

    #[test]
    fn a_column_that_is_there_twice_is_refused() {
        assert!(said("customer,Customer\na@b,c@d\n").contains("line 1 has two columns customer"));
    }

    #[test]
    fn a_customer_may_be_one_for_each_device() {
        let orders = parse_orders("customer\n{device_id}@shadow.example\n").unwrap();
        assert_eq!(orders[0].customer.as_deref(), Some("{device_id}@shadow.example"));
        assert!(said("customer\n{serial}@shadow.example\n").contains("line 2: a customer template knows"));
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
            // Whatever comes of it, it comes to an end; and every row has somebody that it is for.
            if let Ok(orders) = parse_orders(&format!("{head}{text}")) {
                prop_assert!(orders.iter().all(|order| order.device_id.is_some() || order.customer.is_some()));
            }
        }
    }
}
