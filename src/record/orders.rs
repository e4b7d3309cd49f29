use std::collections::HashMap;

use serde::Serialize;
use sha2::{Digest, Sha256};
use sqlx::{Row, any::AnyRow};

use super::{
    Ledger,
    ledger::{Transaction, Trouble, random},
};
use crate::model::{DeviceId, Failure};

/// What an orders file, or a scanner, says about one board.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct NewOrder {
    /// The board it is for; without it, the next board that has no order of its own.
    pub device_id: Option<DeviceId>,
    /// The customer, or a template.
    pub customer: Option<String>,
    /// The device's name.
    pub name: Option<String>,
    /// For people.
    pub note: Option<String>,
}

impl NewOrder {
    /// Whether this is its customer, its name or its note.
    pub fn says(&self, text: &str) -> bool {
        says(text, [&self.customer, &self.name, &self.note])
    }
}

fn says(text: &str, fields: [&Option<String>; 3]) -> bool {
    fields.into_iter().any(|field| field.as_deref() == Some(text))
}

/// An order, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Order {
    /// Names it.
    pub id: String,
    /// The file, or whatever else it came from.
    pub source: String,
    /// Its place in that.
    pub position: i64,
    /// The board it is for, if it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// The customer, or a template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// The device's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The board that has it, for good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bound_to: Option<String>,
    /// What became of it.
    pub state: OrderState,
}

impl Order {
    /// Whether this is its customer, its name or its note.
    pub fn says(&self, text: &str) -> bool {
        says(text, [&self.customer, &self.name, &self.note])
    }
}

/// What became of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrderState {
    /// No board has it.
    Open,
    /// A board has it, and is worked on, or was when something broke.
    Bound,
    /// Its board passed.
    Done,
    /// Its board failed, and may come again.
    Failed,
    /// No board had it when its file was read again without it.
    Withdrawn,
}

impl OrderState {
    const ALL: [Self; 5] = [Self::Open, Self::Bound, Self::Done, Self::Failed, Self::Withdrawn];

    /// As it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Bound => "bound",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// What became of the lines of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    /// Orders that were not there.
    pub new: usize,
    /// Orders that were.
    pub known: usize,
}

impl Ledger {
    const ORDERS_AT_ONCE: usize = 500;

    /// Takes in the orders of a source. The same lines of the same source are the same orders, however
    /// often they are read and from wherever; a line that stands there twice is two orders. What the source
    /// does not hold any more and no board has is withdrawn.
    pub async fn import_orders(&self, source: &str, orders: &[NewOrder]) -> Result<Imported, Failure> {
        let mut seen = HashMap::new();
        let numbered: Vec<_> = orders
            .iter()
            .map(|order| {
                let times = seen.entry(order).and_modify(|times| *times += 1).or_insert(1);
                (name_of(source, order, *times), order)
            })
            .collect();
        let mut there = self.order_states(source).await?;
        let mut again = Vec::new();
        let (known, new): (Vec<_>, Vec<_>) =
            numbered.into_iter().partition(|(id, _)| match there.remove(id) {
                Some(state) => {
                    again.extend((state == OrderState::Withdrawn.as_str()).then(|| id.clone()));
                    true
                }
                None => false,
            });
        let gone: Vec<_> = there.into_keys().collect();
        // A long file in one transaction would keep every other run waiting.
        let mut imported = Imported { new: 0, known: known.len() };
        for some in new.chunks(Self::ORDERS_AT_ONCE) {
            let inserted = self
                .working("written", || async {
                    let mut work = self.transaction().await?;
                    let first = next_position(&mut work, source).await?;
                    let mut inserted = 0;
                    for (position, (id, order)) in (first..).zip(some) {
                        // Another bench may read the same file right now.
                        inserted += usize::from(insert(&mut work, source, position, id, order).await?);
                    }
                    work.commit().await?;
                    Ok(inserted)
                })
                .await?;
            imported.new += inserted;
            imported.known += some.len() - inserted;
        }
        let withdraw =
            "UPDATE orders SET state = 'withdrawn' WHERE id = $1 AND bound_to IS NULL AND state <> 'done'";
        let open = "UPDATE orders SET state = 'open' WHERE id = $1 AND state = 'withdrawn'";
        for (sql, ids) in [(withdraw, gone), (open, again)] {
            for some in ids.chunks(Self::ORDERS_AT_ONCE) {
                self.working("written", || async {
                    let mut work = self.transaction().await?;
                    for id in some {
                        sqlx::query(sql).bind(id.clone()).execute(work.on()).await?;
                    }
                    work.commit().await
                })
                .await?;
            }
        }
        Ok(imported)
    }

    /// The names of a source's orders, and their states.
    async fn order_states(&self, source: &str) -> Result<HashMap<String, String>, Failure> {
        self.working("read", || async {
            let mut work = self.reading().await?;
            let query = sqlx::query("SELECT id, state FROM orders WHERE source = $1").bind(source.to_owned());
            let rows = query.fetch_all(work.on()).await?;
            work.commit().await?;
            let state = |row: &AnyRow| Ok((row.try_get("id")?, row.try_get("state")?));
            Ok(rows.iter().map(state).collect::<Result<_, sqlx::Error>>()?)
        })
        .await
    }

    /// Takes in one order that is like no other, behind those that are there: what was scanned. One that
    /// names its board is that board's at once, in place of the one that it had.
    pub async fn add_order(&self, source: &str, order: &NewOrder) -> Result<Order, Failure> {
        let id = random(26);
        self.working("written", || async {
            let mut work = self.transaction().await?;
            let position = next_position(&mut work, source).await?;
            insert(&mut work, source, position, &id, order).await?;
            if let Some(device_id) = &order.device_id {
                let sql = "UPDATE orders SET bound_to = NULL, \
                     state = CASE state WHEN 'done' THEN 'done' ELSE 'open' END \
                     WHERE source = $1 AND bound_to = $2";
                let query = sqlx::query(sql).bind(source.to_owned()).bind(device_id.to_string());
                query.execute(work.on()).await?;
            }
            let sql = "UPDATE orders SET bound_to = device_id, state = 'bound' \
                 WHERE id = $1 AND device_id IS NOT NULL";
            sqlx::query(sql).bind(id.clone()).execute(work.on()).await?;
            let row = sqlx::query("SELECT * FROM orders WHERE id = $1")
                .bind(id.clone())
                .fetch_one(work.on())
                .await?;
            work.commit().await?;
            Ok(self::order(&row)?)
        })
        .await
    }

    /// The order that this board has.
    pub async fn order_of(&self, source: &str, device_id: &DeviceId) -> Result<Option<Order>, Failure> {
        self.working("read", || async {
            let mut work = self.reading().await?;
            let sql = "SELECT * FROM orders WHERE source = $1 AND bound_to = $2";
            let query = sqlx::query(sql).bind(source.to_owned()).bind(device_id.to_string());
            let row = query.fetch_optional(work.on()).await?;
            work.commit().await?;
            row.as_ref().map(order).transpose().map_err(Trouble::from)
        })
        .await
    }

    /// The order of this board: the one that it has, else the one that names it, else the next that names
    /// no board; that is this board's from now on. None when all are used.
    pub async fn claim_order(&self, source: &str, device_id: &DeviceId) -> Result<Option<Order>, Failure> {
        self.working("written", || async {
            let mut work = self.transaction().await?;
            let claimed = claim(&mut work, source, device_id.as_str(), None).await?;
            work.commit().await?;
            Ok(claimed)
        })
        .await
    }

    /// The order that says this, as its customer, name or note, and that no other board has; it is this
    /// board's from now on, in place of the one that it had, which must not be done. None when all those are
    /// used.
    pub async fn claim_order_that_says(
        &self,
        source: &str,
        device_id: &DeviceId,
        text: &str,
    ) -> Result<Option<Order>, Failure> {
        self.working("written", || async {
            let mut work = self.transaction().await?;
            let claimed = claim(&mut work, source, device_id.as_str(), Some(text)).await?;
            work.commit().await?;
            Ok(claimed)
        })
        .await
    }

    /// Whether there is an order that the next board can have, whichever it is.
    pub async fn has_open_order(&self, source: &str) -> Result<bool, Failure> {
        self.working("read", || async {
            let mut work = self.reading().await?;
            let sql = "SELECT id FROM orders WHERE source = $1 AND bound_to IS NULL AND device_id IS NULL \
                 AND state <> 'withdrawn' LIMIT 1";
            let row = sqlx::query(sql).bind(source.to_owned()).fetch_optional(work.on()).await?;
            work.commit().await?;
            Ok(row.is_some())
        })
        .await
    }

    /// Notes what became of an order. One that is done stays done.
    pub async fn settle_order(&self, id: &str, state: OrderState) -> Result<(), Failure> {
        self.working("written", || async {
            let mut work = self.transaction().await?;
            let sql = "UPDATE orders SET state = $1 WHERE id = $2 AND state <> 'done'";
            sqlx::query(sql).bind(state.as_str()).bind(id.to_owned()).execute(work.on()).await?;
            work.commit().await
        })
        .await
    }

    /// Takes an order off its board, which nothing was done to, so that the next one can have it. One that
    /// names its board has failed, and is its board's when that comes again and nothing else is said; one
    /// that is done, or another board's by now, stays.
    pub async fn give_back_order(&self, order: &Order) -> Result<(), Failure> {
        self.working("written", || async {
            let mut work = self.transaction().await?;
            let sql = "UPDATE orders SET bound_to = NULL, \
                 state = CASE WHEN device_id IS NULL THEN 'open' ELSE 'failed' END \
                 WHERE id = $1 AND bound_to = $2 AND state <> 'done'";
            let update = sqlx::query(sql).bind(order.id.clone()).bind(order.bound_to.clone());
            update.execute(work.on()).await?;
            work.commit().await
        })
        .await
    }

    /// The orders of a source, in order.
    pub async fn orders(&self, source: &str) -> Result<Vec<Order>, Failure> {
        self.working("read", || async {
            let mut work = self.reading().await?;
            let sql = "SELECT * FROM orders WHERE source = $1 ORDER BY position, id";
            let rows = sqlx::query(sql).bind(source.to_owned()).fetch_all(work.on()).await?;
            work.commit().await?;
            rows.iter().map(order).collect::<Result<_, _>>().map_err(Trouble::from)
        })
        .await
    }
}

/// The same for the same line of the same source: its content, and the how many-th of that content it is.
fn name_of(source: &str, order: &NewOrder, times: u32) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let device_id = order.device_id.as_ref().map(DeviceId::to_string).unwrap_or_default();
    let parts = [
        source.to_owned(),
        device_id,
        text(&order.customer),
        text(&order.name),
        text(&order.note),
        times.to_string(),
    ];
    format!("{:x}", Sha256::digest(parts.join("\0")))
}

async fn next_position(work: &mut Transaction<'_>, source: &str) -> Result<i64, Trouble> {
    let sql = "SELECT MAX(position) AS last FROM orders WHERE source = $1";
    let row = sqlx::query(sql).bind(source.to_owned()).fetch_one(work.on()).await?;
    Ok(row.try_get::<Option<i64>, _>("last")?.unwrap_or(0) + 1)
}

async fn insert(
    work: &mut Transaction<'_>,
    source: &str,
    position: i64,
    id: &str,
    order: &NewOrder,
) -> Result<bool, Trouble> {
    let sql = "INSERT INTO orders (id, source, position, device_id, customer, name, note, state) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, 'open') ON CONFLICT (id) DO NOTHING";
    let inserted = sqlx::query(sql)
        .bind(id.to_owned())
        .bind(source.to_owned())
        .bind(position)
        .bind(order.device_id.as_ref().map(DeviceId::to_string))
        .bind(order.customer.clone())
        .bind(order.name.clone())
        .bind(order.note.clone())
        .execute(work.on())
        .await?;
    Ok(inserted.rows_affected() > 0)
}

/// The board's own order comes first, then the one that names it.
async fn claim(
    work: &mut Transaction<'_>,
    source: &str,
    device_id: &str,
    says: Option<&str>,
) -> Result<Option<Order>, Trouble> {
    loop {
        let sql = "SELECT * FROM orders WHERE source = $1 AND \
             (bound_to = $2 OR (bound_to IS NULL AND (device_id = $2 OR device_id IS NULL) \
             AND state <> 'withdrawn')) AND \
             (CAST($3 AS TEXT) IS NULL OR customer = $3 OR name = $3 OR note = $3) \
             ORDER BY CASE WHEN bound_to IS NOT NULL THEN 0 WHEN device_id IS NOT NULL THEN 1 ELSE 2 END, \
             position, id LIMIT 1";
        let next = sqlx::query(sql).bind(source.to_owned()).bind(device_id.to_owned());
        let next = next.bind(says.map(str::to_owned));
        let Some(row) = next.fetch_optional(work.on()).await? else { return Ok(None) };
        let mut next = order(&row)?;
        if next.bound_to.is_some() {
            return Ok(Some(next));
        }
        if says.is_some() {
            let sql = "UPDATE orders SET bound_to = NULL, state = 'open' \
                 WHERE source = $1 AND bound_to = $2 AND state <> 'done'";
            let query = sqlx::query(sql).bind(source.to_owned()).bind(device_id.to_owned());
            query.execute(work.on()).await?;
        }
        // Somebody else may have been quicker; then there is another next one.
        let sql = "UPDATE orders SET bound_to = $1, state = 'bound' WHERE id = $2 AND bound_to IS NULL \
             AND state <> 'withdrawn'";
        let bound =
            sqlx::query(sql).bind(device_id.to_owned()).bind(next.id.clone()).execute(work.on()).await?;
        if bound.rows_affected() > 0 {
            (next.bound_to, next.state) = (Some(device_id.to_owned()), OrderState::Bound);
            return Ok(Some(next));
        }
    }
}

fn order(row: &AnyRow) -> Result<Order, sqlx::Error> {
    let state: String = row.try_get("state")?;
    Ok(Order {
        id: row.try_get("id")?,
        source: row.try_get("source")?,
        position: row.try_get("position")?,
        device_id: row.try_get("device_id")?,
        customer: row.try_get("customer")?,
        name: row.try_get("name")?,
        note: row.try_get("note")?,
        bound_to: row.try_get("bound_to")?,
        state: OrderState::ALL.into_iter().find(|s| s.as_str() == state).unwrap_or(OrderState::Bound),
    })
}
