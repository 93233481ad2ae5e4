//! Values on their way to the server and back.
use crate::outbound::store::sql::{Cell, Fault, Row, Value};
use bytes::BytesMut;
use std::{error::Error, fmt};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

/// A value on its way to the server. `Debug` shows none: the client would log it.
pub(super) struct Parameter<'a>(pub(super) Value<'a>);

impl Parameter<'_> {
    /// Its type.
    pub(super) fn kind(&self) -> Type {
        match self.0 {
            Value::Text(_) | Value::NoText => Type::TEXT,
            Value::Int(_) => Type::INT8,
        }
    }
}

impl fmt::Debug for Parameter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

impl ToSql for Parameter<'_> {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self.0 {
            Value::Text(text) => text.to_sql(kind, out),
            Value::Int(number) => number.to_sql(kind, out),
            Value::NoText => Ok(IsNull::Yes),
        }
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::TEXT || *kind == Type::INT8
    }

    to_sql_checked!();
}

/// A row that was found.
pub(super) fn row(found: &tokio_postgres::Row) -> Result<Row, Fault> {
    let cells = found.columns().iter().enumerate().map(|(at, column)| {
        let kind = column.type_();
        let cell = if *kind == Type::INT8 {
            found.try_get::<_, Option<i64>>(at).map(|number| number.map(Cell::Int))
        } else if *kind == Type::INT4 {
            let number = found.try_get::<_, Option<i32>>(at);
            number.map(|number| number.map(|number| Cell::Int(number.into())))
        } else if *kind == Type::BOOL {
            let flag = found.try_get::<_, Option<bool>>(at);
            flag.map(|flag| flag.map(|flag| Cell::Int(flag.into())))
        } else {
            let text = found.try_get::<_, Option<&str>>(at);
            text.map(|text| text.map(|text| Cell::Text(text.into())))
        };
        cell.map(|cell| cell.unwrap_or(Cell::Null)).map_err(|_| Fault::Damaged)
    });
    cells.collect::<Result<_, _>>().map(Row)
}
