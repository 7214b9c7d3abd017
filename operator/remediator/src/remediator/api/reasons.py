"""Phases and reasons: the vocabulary of a FlinkRemediation's status, of Events and of metric labels."""

from enum import StrEnum


class Phase(StrEnum):
    """Where a remediation stands."""

    PENDING = "Pending"
    AWAITING_APPROVAL = "AwaitingApproval"
    EXECUTING = "Executing"
    VERIFYING = "Verifying"
    SUCCEEDED = "Succeeded"
    INEFFECTIVE = "Ineffective"
    FAILED = "Failed"
    REFUSED = "Refused"
    OBSERVED = "Observed"
    CANCELLED = "Cancelled"
    OVERRIDDEN = "Overridden"

    @property
    def terminal(self) -> bool:
        """Whether nothing more will happen."""
        return self not in (Phase.PENDING, Phase.AWAITING_APPROVAL, Phase.EXECUTING, Phase.VERIFYING)


class Reason(StrEnum):
    """Why a remediation stands where it stands."""

    # It is refused, or waits.
    PAUSED = "Paused"
    ALERT_SILENCED = "AlertSilenced"
    DUPLICATE = "Duplicate"
    CANCEL_REQUESTED = "CancelRequested"
    POLICY_NOT_FOUND = "PolicyNotFound"
    POLICY_INVALID = "PolicyInvalid"
    ALERT_NOT_MATCHED = "AlertNotMatched"
    ALERT_STALE = "AlertStale"
    NOT_OPTED_IN = "NotOptedIn"
    TARGET_NOT_FOUND = "TargetNotFound"
    TARGET_REPLACED = "TargetReplaced"
    SESSION_CLUSTER = "SessionCluster"
    STATELESS_UPGRADE_MODE = "StatelessUpgradeMode"
    AUTOSCALER_ENABLED = "AutoscalerEnabled"
    TASK_MANAGER_REPLICAS_SET = "TaskManagerReplicasSet"
    TARGET_NOT_STABLE = "TargetNotStable"
    TARGET_BUSY = "TargetBusy"
    OPERATOR_RECOVERING = "OperatorRecovering"
    MANAGED_BY_GITOPS = "ManagedByGitOps"
    JOB_NOT_FAILED = "JobNotFailed"
    ALREADY_AT_MAXIMUM = "AlreadyAtMaximum"
    MAX_PARALLELISM_EXCEEDED = "MaxParallelismExceeded"
    NO_VERTEX_FOLLOWS = "NoVertexFollows"
    IN_PLACE_NOT_POSSIBLE = "InPlaceNotPossible"
    JOB_MANAGER_UNREACHABLE = "JobManagerUnreachable"
    NO_COMPLETED_CHECKPOINT = "NoCompletedCheckpoint"
    CHECKPOINT_TOO_OLD = "CheckpointTooOld"
    MANUAL_RESTORE_REQUIRED = "ManualRestoreRequired"
    NO_RESTART_STRATEGY = "NoRestartStrategy"
    COOLDOWN = "Cooldown"
    BUDGET_EXHAUSTED = "BudgetExhausted"
    SETTLING = "Settling"
    STORM = "Storm"
    APPROVAL_REQUIRED = "ApprovalRequired"
    APPROVAL_DENIED = "ApprovalDenied"
    APPROVAL_EXPIRED = "ApprovalExpired"
    # It goes on.
    RETRY_REQUESTED = "RetryRequested"
    ALERT_FIRING_AGAIN = "AlertFiringAgain"
    API_UNAVAILABLE = "ApiUnavailable"
    PLANNED = "Planned"
    PATCHED = "Patched"
    WAITING_FOR_OPERATOR = "WaitingForOperator"
    WAITING_FOR_JOB = "WaitingForJob"
    WAITING_FOR_PARALLELISM = "WaitingForParallelism"
    WAITING_FOR_CHECKPOINT = "WaitingForCheckpoint"
    WAITING_FOR_QUERY = "WaitingForQuery"
    REVERTING = "Reverting"
    NEXT_ACTION = "NextAction"
    # It ends.
    VERIFIED = "Verified"
    VERIFICATION_TIMEOUT = "VerificationTimeout"
    REVERTED = "Reverted"
    PATCH_REJECTED = "PatchRejected"
    PATCH_NOT_KEPT = "PatchNotKept"
    STARTED_WITHOUT_STATE = "StartedWithoutState"
    STARTED_FROM_OLDER_STATE = "StartedFromOlderState"
    CHANGED_BY_OTHERS = "ChangedByOthers"
    TARGET_DELETED = "TargetDeleted"
    ROLLED_BACK = "RolledBack"
    ALERT_RESOLVED = "AlertResolved"
    OBSERVE_MODE = "ObserveMode"
    # Warnings: they stop nothing.
    MORE_PARTITIONS_NEEDED = "MorePartitionsNeeded"
    # After success.
    SCALING_BACK = "ScalingBack"
    SCALED_BACK = "ScaledBack"
