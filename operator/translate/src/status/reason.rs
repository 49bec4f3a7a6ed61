//! Reasons of conditions that do not come from a [`Finding`](crate::Finding).

/// Accepted is True: nothing is wrong.
pub const ACCEPTED: &str = "Accepted";
/// Accepted is True: part of the object is left out, the rest is served.
pub const PARTIALLY_INVALID: &str = "PartiallyInvalid";
/// Conflicted is False: a listener can be told from all others.
pub const NO_CONFLICTS: &str = "NoConflicts";
/// ResolvedRefs is True: everything that is named exists.
pub const RESOLVED_REFS: &str = "ResolvedRefs";
/// Programmed is True: every ready proxy serves it.
pub const PROGRAMMED: &str = "Programmed";
/// Programmed is False: some proxies have not said yet that they serve it, or none is ready.
pub const PENDING: &str = "Pending";
/// Programmed is False: no ingress has anything of it.
pub const NOT_USED: &str = "NotUsed";
/// Programmed is False: a proxy could not do what it says.
pub const REFUSED: &str = "Refused";
/// Programmed is False: a proxy could not load the newest snapshot, and serves an older one.
pub const SNAPSHOT_REJECTED: &str = "SnapshotRejected";
/// Programmed is False: a field of a Deployment or a Service is owned by somebody else.
pub const FIELD_CONFLICT: &str = "FieldConflict";
/// Programmed is False: the Service has no address yet (Gateway API).
pub const ADDRESS_NOT_ASSIGNED: &str = "AddressNotAssigned";
/// Programmed is False: the Service did not get the address that is asked for (Gateway API).
pub const ADDRESS_NOT_USABLE: &str = "AddressNotUsable";
/// Programmed is False: the API server refused what was to be written, or did not answer.
pub const APPLY_FAILED: &str = "ApplyFailed";
