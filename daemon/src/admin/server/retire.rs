//! Lets the oldest part of the usage log be moved away: first the copy that a repair goes on from in its place, then the
//! entry that tells so, durable when this answers (S2).
//!
//! It must not touch the log's files: whoever asked moves them, for the daemon can write nowhere else.

use usher_engine::{api::AdminAsk, record::Retirement};

use super::{AdminParts, Answer, new_backup};
use crate::{
    admin::protocol::LogReport,
    journal,
    usage::{LogHead, is_joint},
};

impl AdminParts {
    /// Without a place only the file in use is ended, so that it can be retired some day.
    pub(super) async fn retire_log(&self, actor: &str, through: Option<LogReport>) -> Answer {
        self.log.end_segment();
        let Some(through) = through else {
            return Answer::Done;
        };
        match self.retirement(through.into()).await {
            Ok(retirement) => match self.ask(actor, AdminAsk::RetireLog(retirement)).await {
                Answer::Done => Answer::LogRetired {
                    base: retirement.base,
                },
                other => other,
            },
            Err(message) => Answer::failed(message),
        }
    }

    async fn retirement(&self, through: LogHead) -> Result<Retirement, String> {
        if !is_joint(&self.usage, through).map_err(|error| error.to_string())? {
            return Err(format!(
                "no file of the usage log ends with entry {} and that hash; look with: usherd usage verify",
                through.number
            ));
        }
        // Everything committed so far is in the log and in the copy (S6), so the copy reaches further than the cut.
        let copy = self.core.snapshot(new_backup(&self.usage)).await?;
        let base = copy.header.log.number;
        let usage = self.usage.clone();
        let kept = tokio::task::spawn_blocking(move || journal::keep_base(&usage, &copy)).await;
        let kept = kept.map_err(|error| error.to_string())?;
        Ok(Retirement {
            through: through.number,
            hash: through.hash,
            base,
            base_digest: kept.map_err(|error| error.to_string())?,
        })
    }
}
