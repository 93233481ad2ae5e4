//! What a first sight would come to. Writes nothing.
use super::{
    Job,
    adopting::{self, Waiting},
    binding::{self, Fate},
    gate::{self, Stage},
    imported, pinning,
    tx::{Fault, Row, Tx},
};
use crate::{
    domain::identity::ChatIdentity,
    ports::store::{BindError, Binding, FirstSight, Given, Match},
};

/// Foresees what [`binding::Bind`] would answer now.
#[derive(Debug)]
pub(super) struct Foresee(pub(super) FirstSight);

impl Job for Foresee {
    type Answer = Result<Given, BindError>;

    async fn run<T: Tx>(&self, tx: &mut T) -> Result<Self::Answer, Fault> {
        let sight = &self.0;
        let gate = gate::look(tx, Some(sight.subject.namespace())).await?;
        let pending = match gate.import {
            Some((Stage::Applied, import)) => imported::concerned(tx, import, sight).await?,
            Some(_) | None => Vec::new(),
        };
        let pending = Pending { rows: &pending, sight };
        if let Some(held) = binding::find(tx, &sight.subject).await? {
            return Ok(Ok(held.into()));
        }
        if let Some(held) = pending.held()? {
            return Ok(Ok(held.into()));
        }
        match binding::is_erased(tx, &gate, sight).await? {
            Ok(true) => return Ok(Ok(Binding::Retired.into())),
            Ok(false) => {}
            Err(refused) => return Ok(Err(BindError::Store(refused))),
        }
        if let Some(wanted) = &sight.adopt {
            let waiting = match pending.waiting(wanted)? {
                Waiting::Nobody => adopting::waiting(tx, sight, wanted).await?,
                found @ (Waiting::For(_) | Waiting::Refused(_)) => found,
            };
            match waiting {
                Waiting::Nobody => {}
                Waiting::Refused(refused) => return Ok(Err(refused)),
                Waiting::For(identity) => return Ok(Ok(pending.adopted(tx, identity).await?)),
            }
        }
        if let Err(refused) = pinning::agrees(&gate, sight) {
            return Ok(Err(BindError::Store(refused)));
        }
        let fate = match pending.fate()? {
            Some(fate) => fate,
            None => binding::fate(tx, sight).await?,
        };
        Ok(match fate {
            Fate::New | Fate::Own => Ok(Binding::Active(sight.identity.clone()).into()),
            Fate::Ended => Ok(Binding::Retired.into()),
            Fate::Anothers => Err(BindError::Taken),
        })
    }
}

/// Rows of an import that holds, not moved yet, which a first sight would move.
struct Pending<'a> {
    rows: &'a [Row],
    sight: &'a FirstSight,
}

impl Pending<'_> {
    /// What the subject has by them.
    fn held(&self) -> Result<Option<Binding>, Fault> {
        let (namespace, id) = binding::parts(&self.sight.subject);
        for row in self.rows {
            if row.int(2)? == 0 && row.text(0)? == namespace && row.text(1)? == id {
                let identity = binding::identity(row, 3)?;
                let is_retired = row.text(4)? == "retired";
                return Ok(Some(if is_retired {
                    Binding::Retired
                } else {
                    Binding::Active(identity)
                }));
            }
        }
        Ok(None)
    }

    /// What waits in them for somebody whose token says so.
    fn waiting(&self, wanted: &Match) -> Result<Waiting, Fault> {
        let mut found = Waiting::Nobody;
        for row in self.rows {
            if row.int(2)? == 0 {
                continue;
            }
            if row.text(1)? != &*wanted.value {
                found = Waiting::Refused(BindError::Taken);
            } else if wanted.verified {
                return Ok(Waiting::For(binding::identity(row, 3)?));
            } else {
                return Ok(Waiting::Refused(BindError::Unverified));
            }
        }
        Ok(found)
    }

    /// What comes of taking one that waits.
    async fn adopted<T: Tx>(&self, tx: &mut T, identity: ChatIdentity) -> Result<Given, Fault> {
        let sql = "SELECT state FROM identities WHERE identity = $1";
        let rows = tx.rows(sql, &[identity.as_str().into()]).await?;
        let held = rows.first().map(|row| row.text(0)).transpose()?;
        if held == Some("retired") || self.is_retired(identity.as_str())? {
            return Ok(Binding::Retired.into());
        }
        Ok(Given { binding: Binding::Active(identity), adopted: true })
    }

    fn is_retired(&self, identity: &str) -> Result<bool, Fault> {
        for row in self.rows {
            if row.text(3)? == identity && row.text(4)? == "retired" {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What they say of the identity that the subject shall get. A derived one that nobody has is the subject's own.
    fn fate(&self) -> Result<Option<Fate>, Fault> {
        let name = self.sight.identity.as_str();
        for row in self.rows {
            if row.text(3)? == name {
                let is_free = row.text(1)?.is_empty();
                let is_own = is_free && binding::is_derived(self.sight);
                return Ok(Some(match (is_own, row.text(4)? == "retired") {
                    (true, true) => Fate::Ended,
                    (true, false) => Fate::Own,
                    (false, _) => Fate::Anothers,
                }));
            }
        }
        Ok(None)
    }
}
