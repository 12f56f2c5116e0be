//! The values of fmtp parameters, which are text or numbers.

use crate::proto::{ParameterValue, parameter_value::Value};
use std::collections::BTreeMap;

/// fmtp parameters, by name.
pub(super) type Parameters = BTreeMap<String, ParameterValue>;

pub(super) fn as_number(value: &ParameterValue) -> Option<i32> {
    match value.value.as_ref()? {
        Value::Number(number) => Some(*number),
        Value::Text(text) => text.parse().ok(),
    }
}

pub(super) fn number_of(parameters: &Parameters, name: &str) -> Option<i32> {
    parameters.get(name).and_then(as_number)
}

pub(super) fn number(number: i32) -> ParameterValue {
    ParameterValue { value: Some(Value::Number(number)) }
}

pub(super) fn text(text: &str) -> ParameterValue {
    ParameterValue { value: Some(Value::Text(text.into())) }
}
