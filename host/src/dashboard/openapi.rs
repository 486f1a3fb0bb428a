//! The OpenAPI document, made of the table of routes.

use std::collections::BTreeMap;

use axum::http::Method;
use utoipa::openapi::path::{Operation, OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{Object, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    Components, ContentBuilder, HttpMethod, InfoBuilder, OpenApiBuilder, PathItem, PathsBuilder,
    Ref, RefOr, Required, Response, ResponseBuilder,
};
use utoipa::{PartialSchema, ToSchema};

use super::answers::Refusal;
use super::routes::{Kind, Query, Route, routes};

/// A schema with its name, and those that it refers to.
pub(super) type Describe = fn() -> Vec<(String, RefOr<Schema>)>;

/// Describes a type.
pub(super) fn describe<T: ToSchema + PartialSchema>() -> Vec<(String, RefOr<Schema>)> {
    let mut all = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut all);
    all
}

/// What each refusal means.
fn meaning(status: u16) -> &'static str {
    match status {
        400 => "the request is not understood",
        401 => "a credential is needed",
        403 => "the address, the origin or the role is not allowed",
        404 => "there is no such thing",
        405 => "the route has no such method",
        408 => "the request took too long",
        409 => "no run is on",
        413 => "the body is too large",
        415 => "the body is not JSON",
        421 => "the host name is not allowed",
        422 => "the body is JSON, but not what this route takes",
        426 => "this route is a WebSocket",
        429 => "too many requests; Retry-After says when to come again",
        500 => "the program could not",
        503 => "not now",
        504 => "the engine has not come to it yet",
        _ => "refused",
    }
}

/// Refusals that every route but health may give.
const ALWAYS: &[u16] = &[401, 403, 408, 421, 429];

/// The document.
#[must_use]
pub fn document() -> String {
    let mut paths = PathsBuilder::new();
    let mut components = Components::new();
    let mut keep = |described: Vec<(String, RefOr<Schema>)>| {
        for (name, schema) in described {
            components.schemas.insert(name, schema);
        }
    };
    keep(describe::<Refusal>());
    for route in routes() {
        for describe in [route.gives, route.takes].into_iter().flatten() {
            keep(describe());
        }
        let method = match route.method {
            Method::POST => HttpMethod::Post,
            Method::DELETE => HttpMethod::Delete,
            _ => HttpMethod::Get,
        };
        paths = paths.path(route.path, PathItem::new(method, operation(&route)));
    }
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    components.add_security_scheme("key", SecurityScheme::Http(bearer));
    // Without TLS the port is added, with it a prefix: see `App::cookie_name`.
    let cookie = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new("sid-7878")));
    components.add_security_scheme("session", cookie);
    let info = InfoBuilder::new().title("Sandpaper").version(env!("CARGO_PKG_VERSION")).build();
    OpenApiBuilder::new()
        .info(info)
        .paths(paths.build())
        .components(Some(components))
        .build()
        .to_json()
        .unwrap_or_default()
}

fn operation(route: &Route) -> Operation {
    let words: Vec<&str> =
        route.path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()).collect();
    let id = format!("{}_{}", route.method.as_str().to_lowercase(), words.join("_"));
    let mut operation = OperationBuilder::new().summary(Some(route.summary)).operation_id(Some(id));
    for name in route.path.split('{').skip(1).filter_map(|rest| rest.split('}').next()) {
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .schema(Some(text_schema()));
        operation = operation.parameter(parameter.build());
    }
    for query in route.query {
        operation = operation.parameter(parameter(query));
    }
    if let Some(takes) = route.takes {
        let content = ContentBuilder::new().schema(Some(reference(takes))).build();
        let body = RequestBodyBuilder::new()
            .content("application/json", content)
            .required(Some(Required::True));
        operation = operation.request_body(Some(body.build()));
    }
    if !route.open {
        let anyone = |name: &str| SecurityRequirement::new::<_, [&str; 0], &str>(name, []);
        operation = operation.securities(Some([anyone("key"), anyone("session")]));
    }
    for (status, response) in responses(route) {
        operation = operation.response(status.to_string(), response);
    }
    operation.build()
}

fn responses(route: &Route) -> BTreeMap<u16, Response> {
    let mut all = BTreeMap::new();
    let mut refused: Vec<u16> = ALWAYS.to_vec();
    refused.extend_from_slice(route.fails);
    if !route.query.is_empty() || route.path.contains('{') {
        refused.push(400);
    }
    if route.takes.is_some() {
        refused.extend([400, 413, 415, 422]);
    }
    for status in refused {
        let content = ContentBuilder::new().schema(Some(reference(describe::<Refusal>))).build();
        let response = ResponseBuilder::new()
            .description(meaning(status))
            .content("application/json", content);
        all.insert(status, response.build());
    }
    let mut good = ResponseBuilder::new().description("what was asked for");
    if let Some(gives) = route.gives {
        let content = ContentBuilder::new().schema(Some(reference(gives))).build();
        good = good.content("application/json", content);
    } else if let Some(kind) = route.kind {
        let any: Option<RefOr<Schema>> = None;
        good = good.content(kind, ContentBuilder::new().schema(any).build());
    }
    all.insert(route.status, good.build());
    all
}

/// A reference to the schema that `describe` names first.
fn reference(describe: Describe) -> RefOr<Schema> {
    let name = describe().into_iter().next().map(|(name, _)| name).unwrap_or_default();
    RefOr::Ref(Ref::from_schema_name(name))
}

fn text_schema() -> RefOr<Schema> {
    RefOr::T(Schema::Object(Object::with_type(SchemaType::Type(Type::String))))
}

fn parameter(query: &Query) -> utoipa::openapi::path::Parameter {
    let schema = match query.kind {
        Kind::Text => text_schema(),
        Kind::Count(max) => RefOr::T(Schema::Object(
            ObjectBuilder::new()
                .schema_type(SchemaType::Type(Type::Integer))
                .minimum(Some(0))
                .maximum(Some(max))
                .build(),
        )),
    };
    let required = if query.required { Required::True } else { Required::False };
    ParameterBuilder::new()
        .name(query.name)
        .parameter_in(ParameterIn::Query)
        .required(required)
        .description(Some(query.what))
        .schema(Some(schema))
        .build()
}
