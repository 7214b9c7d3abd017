"""Phases and reasons: the vocabulary of a FlinkRemediation's status, of Events and of metric labels."""

from enum import StrEnum


class Phase(StrEnum):
    """Where a remediation stands."""

    PENDING = "Pending"
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
        return self not in (Phase.PENDING, Phase.EXECUTING, Phase.VERIFYING)

    @property
    def acted(self) -> bool:
        """Whether the target has, or may have, been changed."""
        return self in (
            Phase.EXECUTING,
            Phase.VERIFYING,
            Phase.SUCCEEDED,
            Phase.INEFFECTIVE,
            Phase.FAILED,
            Phase.OVERRIDDEN,
        )


class Reason(StrEnum):
    """Why a remediation stands where it stands."""

    # It is refused, or waits.
    PAUSED = "Paused"
    POLICY_NOT_FOUND = "PolicyNotFound"
    POLICY_INVALID = "PolicyInvalid"
    NOT_OPTED_IN = "NotOptedIn"
    TARGET_NOT_FOUND = "TargetNotFound"
    TARGET_REPLACED = "TargetReplaced"
    STATELESS_UPGRADE_MODE = "StatelessUpgradeMode"
    AUTOSCALER_ENABLED = "AutoscalerEnabled"
    TASK_MANAGER_REPLICAS_SET = "TaskManagerReplicasSet"
    TARGET_NOT_STABLE = "TargetNotStable"
    TARGET_BUSY = "TargetBusy"
    ALREADY_AT_MAXIMUM = "AlreadyAtMaximum"
    MAX_PARALLELISM_EXCEEDED = "MaxParallelismExceeded"
    IN_PLACE_NOT_POSSIBLE = "InPlaceNotPossible"
    JOB_MANAGER_UNREACHABLE = "JobManagerUnreachable"
    COOLDOWN = "Cooldown"
    BUDGET_EXHAUSTED = "BudgetExhausted"
    STORM = "Storm"
    # It goes on.
    PLANNED = "Planned"
    PATCHED = "Patched"
    WAITING_FOR_OPERATOR = "WaitingForOperator"
    WAITING_FOR_JOB = "WaitingForJob"
    WAITING_FOR_PARALLELISM = "WaitingForParallelism"
    WAITING_FOR_CHECKPOINT = "WaitingForCheckpoint"
    WAITING_FOR_QUERY = "WaitingForQuery"
    REVERTING = "Reverting"
    # It ends.
    VERIFIED = "Verified"
    VERIFICATION_TIMEOUT = "VerificationTimeout"
    REVERTED = "Reverted"
    PATCH_REJECTED = "PatchRejected"
    CHANGED_BY_OTHERS = "ChangedByOthers"
    TARGET_DELETED = "TargetDeleted"
    ROLLED_BACK = "RolledBack"
    ALERT_RESOLVED = "AlertResolved"
    OBSERVE_MODE = "ObserveMode"
