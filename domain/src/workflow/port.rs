//! What runs ask of the store of workflows.

use async_trait::async_trait;

use super::model::{Workflow, WorkflowVersion};
use crate::access::Grant;
use crate::access::SystemScope;
use crate::access::permission::RunsDispatch;
use crate::id::WorkflowId;
use crate::store::StoreFault;

/// Finds what is to be run.
#[async_trait]
pub trait Definitions: Send + Sync {
    /// The workflow that somebody wants to run, archived ones too; none when the organization has none of this id.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn to_run(&self, grant: &Grant<RunsDispatch>, id: WorkflowId) -> Result<Option<Workflow>, StoreFault>;

    /// One version of a workflow, for a run that was begun with it; none when there is no such version.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn version(
        &self,
        scope: SystemScope,
        id: WorkflowId,
        number: u32,
    ) -> Result<Option<WorkflowVersion>, StoreFault>;
}
