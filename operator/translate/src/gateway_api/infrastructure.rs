//! What parameters mean: for the ingresses of Gateways that Postern serves itself, and, of translating classes, by which
//! pods others do.

use postern_api::finding::{FieldPath, Level, SchemaFinding};
use postern_api::meta::ObjectKey;

use super::denial::Denial;
use super::mode::Mode;
use super::parameters::{Parameters, ParametersObject};
use super::selector::{self, Selector};
use crate::children::parameters::{IngressParameters, Overlays};
use crate::finding::{Findings, Problem, Reason};
use crate::world::key_of;

/// What parameters of a class, or of a Gateway, say.
#[derive(Clone, Debug, Default)]
pub(super) struct Infrastructure {
    pub(super) parameters: IngressParameters,
    /// Of a translating class.
    pub(super) selector: Option<Selector>,
    notes: Vec<Note>,
}

/// Something about parameters that is not an error.
#[derive(Clone, Debug)]
struct Note {
    referrer: ObjectKey,
    path: FieldPath,
    message: String,
}

impl Infrastructure {
    /// What one object says.
    ///
    /// # Errors
    /// When something of it cannot be used: then nothing of it is.
    pub(super) fn read(found: Option<Parameters>, mode: Mode) -> Result<Self, Denial> {
        let mut infrastructure = Self::default();
        let Some(Parameters { referrer, path, object }) = found else { return Ok(infrastructure) };
        if mode == Mode::Translating {
            infrastructure.selector = Some(selector::read(&object)?);
            return Ok(infrastructure);
        }
        match object {
            ParametersObject::IngressGateway(object) => {
                infrastructure.parameters.ingress_gateway = Some(object);
            }
            ParametersObject::ConfigMap(map) => {
                let about = |finding: &SchemaFinding| format!("{}: {}", finding.path, finding.message);
                match Overlays::read(&map, referrer.clone(), path.clone()) {
                    Ok((overlays, notes)) => {
                        infrastructure.parameters.overlays.push(overlays);
                        let note = |finding: &SchemaFinding| Note {
                            referrer: referrer.clone(),
                            path: path.clone(),
                            message: format!("{}: {}", key_of(map.as_ref()), about(finding)),
                        };
                        infrastructure.notes = notes.iter().map(note).collect();
                    }
                    Err(errors) => {
                        let message = errors.iter().map(about).collect::<Vec<_>>().join("; ");
                        let message = format!("{}: {message}", key_of(map.as_ref()));
                        return Err(Denial::new(Reason::InvalidParameters, message));
                    }
                }
            }
        }
        Ok(infrastructure)
    }

    /// What a class says, and what one of its Gateways says: the Gateway's settings go before the class's, its
    /// overlays are merged after them.
    pub(super) fn parameters(class: &Self, gateway: &Self) -> IngressParameters {
        let [class, gateway] = [class, gateway].map(|it| it.parameters.clone());
        let overlays = class.overlays.into_iter().chain(gateway.overlays).collect();
        IngressParameters { ingress_gateway: gateway.ingress_gateway.or(class.ingress_gateway), overlays }
    }

    /// Says what is noteworthy.
    pub(super) fn report(&self, findings: &mut Findings) {
        for Note { referrer, path, message } in &self.notes {
            let problem = Problem::programmed(Reason::Ineffective, message.clone());
            findings.at_path(referrer, path.clone(), Level::Warning, problem);
        }
    }
}
