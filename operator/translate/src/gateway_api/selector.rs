//! Which pods serve the Gateways of a translating class: the selector of the Istio Gateways that are written for them.
//!
//! It is YAML, in the key `selector` of a ConfigMap that `parametersRef` of the Gateway or of its class names.

use std::collections::BTreeMap;

use super::denial::Denial;
use super::parameters::ParametersObject;
use crate::finding::Reason;
use crate::world::key_of;

/// Labels of pods.
pub(super) type Selector = BTreeMap<String, String>;

/// The key of the ConfigMap.
const KEY: &str = "selector";

/// The pods of Istio's own installation: what is meant where nobody says anything.
pub(super) fn of_istio() -> Selector {
    [("istio".to_owned(), "ingressgateway".to_owned())].into()
}

/// What parameters say.
///
/// # Errors
/// When they are no ConfigMap with at least one label.
pub(super) fn read(parameters: &ParametersObject) -> Result<Selector, Denial> {
    let map = match parameters {
        ParametersObject::ConfigMap(map) => map,
        ParametersObject::IngressGateway(object) => {
            let key = key_of(object.as_ref());
            return Err(invalid(format!(
                "{key} is for Postern's own ingresses; a ConfigMap with {KEY:?} is needed"
            )));
        }
    };
    let key = key_of(map.as_ref());
    let Some(text) = map.data.as_ref().and_then(|data| data.get(KEY)) else {
        return Err(invalid(format!("{key} has no key {KEY:?} with labels of pods")));
    };
    let labels: Selector = serde_saphyr::from_str(text).map_err(|error| {
        let why = error.without_snippet();
        invalid(format!("{KEY} of {key} has to be labels of pods as YAML: {why}"))
    })?;
    // To Istio no label means the pods of every ingress, and of the whole mesh.
    if labels.is_empty() {
        return Err(invalid(format!("{KEY} of {key} needs a label")));
    }
    Ok(labels)
}

fn invalid(message: String) -> Denial {
    Denial::new(Reason::InvalidParameters, message)
}
