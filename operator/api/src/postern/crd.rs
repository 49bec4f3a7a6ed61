//! The CustomResourceDefinition of [`IngressGateway`], made from the type.

use k8s_openapi::Resource;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceDefinition, CustomResourceDefinitionNames,
    CustomResourceDefinitionSpec, CustomResourceDefinitionVersion, CustomResourceSubresourceStatus,
    CustomResourceSubresources, CustomResourceValidation, JSONSchemaProps,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::ingress_gateway::{IngressGateway, IngressGatewaySpec};
use super::schema;
use super::status::IngressGatewayStatus;

/// What `kubectl explain ingressgateway` says.
const DESCRIPTION: &str = "How the ingress is to run that serves the Gateways with a selector: its Deployment, its \
    Service and its proxies. There is an ingress without an IngressGateway too; then everything has its default.";

/// The CustomResourceDefinition, as `manifests/crds/postern.yaml` has it.
///
/// # Errors
/// When the types have no structural schema: a mistake in this crate, which its tests find.
pub fn crd() -> Result<CustomResourceDefinition, serde_json::Error> {
    let plural = IngressGateway::URL_PATH_SEGMENT;
    Ok(CustomResourceDefinition {
        metadata: ObjectMeta {
            name: Some(format!("{plural}.{}", IngressGateway::GROUP)),
            labels: Some([("app.kubernetes.io/name".to_owned(), "postern".to_owned())].into()),
            ..ObjectMeta::default()
        },
        spec: CustomResourceDefinitionSpec {
            group: IngressGateway::GROUP.to_owned(),
            names: CustomResourceDefinitionNames {
                kind: IngressGateway::KIND.to_owned(),
                list_kind: Some(format!("{}List", IngressGateway::KIND)),
                plural: plural.to_owned(),
                singular: Some("ingressgateway".to_owned()),
                short_names: Some(vec!["igw".to_owned()]),
                categories: Some(vec!["postern".to_owned()]),
            },
            scope: "Namespaced".to_owned(),
            versions: vec![version()?],
            ..CustomResourceDefinitionSpec::default()
        },
        status: None,
    })
}

fn version() -> Result<CustomResourceDefinitionVersion, serde_json::Error> {
    Ok(CustomResourceDefinitionVersion {
        name: IngressGateway::VERSION.to_owned(),
        served: true,
        storage: true,
        schema: Some(CustomResourceValidation { open_api_v3_schema: Some(whole_object()?) }),
        subresources: Some(CustomResourceSubresources {
            status: Some(CustomResourceSubresourceStatus(serde_json::Value::Object(serde_json::Map::new()))),
            scale: None,
        }),
        additional_printer_columns: Some(columns()),
        ..CustomResourceDefinitionVersion::default()
    })
}

fn whole_object() -> Result<JSONSchemaProps, serde_json::Error> {
    let text = || JSONSchemaProps { type_: Some("string".to_owned()), ..JSONSchemaProps::default() };
    let object = JSONSchemaProps { type_: Some("object".to_owned()), ..JSONSchemaProps::default() };
    Ok(JSONSchemaProps {
        type_: Some("object".to_owned()),
        description: Some(DESCRIPTION.to_owned()),
        required: Some(vec!["spec".to_owned()]),
        properties: Some(
            [
                ("apiVersion".to_owned(), text()),
                ("kind".to_owned(), text()),
                ("metadata".to_owned(), object),
                ("spec".to_owned(), schema::structural::<IngressGatewaySpec>()?),
                ("status".to_owned(), schema::structural::<IngressGatewayStatus>()?),
            ]
            .into(),
        ),
        ..JSONSchemaProps::default()
    })
}

/// What `kubectl get igw` shows.
fn columns() -> Vec<CustomResourceColumnDefinition> {
    let column = |name: &str, path: &str, type_: &str, priority: Option<i32>, about: &str| {
        CustomResourceColumnDefinition {
            name: name.to_owned(),
            json_path: path.to_owned(),
            type_: type_.to_owned(),
            description: Some(about.to_owned()),
            priority,
            format: None,
        }
    };
    let programmed = r#".status.conditions[?(@.type=="Programmed")].status"#;
    let accepted = r#".status.conditions[?(@.type=="Accepted")].status"#;
    let address = ".status.addresses[*].value";
    vec![
        column("Accepted", accepted, "string", Some(1), "Whether its settings are used."),
        column("Programmed", programmed, "string", None, "Whether the ingress runs as it says."),
        column("Address", address, "string", None, "Where the ingress can be reached."),
        column("Ready", ".status.ready", "string", None, "Pods that serve, of those that there should be."),
        column("Age", ".metadata.creationTimestamp", "date", None, "Time since it was created."),
    ]
}
