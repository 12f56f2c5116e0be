//! The work that a document causes, measured before async-graphql gets it. Its validation follows each
//! spread of a fragment into the fragment again, so that 30 fragments that spread each other twice are 2^30
//! selections. Here each fragment is measured once.

use super::nesting::{UnendedString, nesting};
use crate::limits;
use crate::request_error::RequestError;
use async_graphql::parser::parse_query;
use async_graphql::parser::types::{
    Directive, ExecutableDocument, OperationDefinition, OperationType, Selection, SelectionSet,
};
use async_graphql::{Name, Positioned, Request, Variables};
use async_graphql_value::{ConstValue, Value};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Parses the document of a request, or refuses it. The schema reports a document that is not valid.
pub(super) fn prepare(request: &mut Request) -> Result<(), RequestError> {
    match nesting(&request.query) {
        Ok(depth) if depth <= limits::GRAPHQL_NESTING_MAX => {}
        Ok(_) => return Err(too_deep()),
        Err(UnendedString) => return Err(RequestError::bad("a string in the query has no end")),
    }
    let Ok(document) = parse_query(&request.query) else { return Ok(()) };
    Measure::new(&document, &request.variables).document()?;
    request.set_parsed_query(document);
    Ok(())
}

/// The size of a part of a document, with all fragments expanded.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    /// Selections, arguments, directives, and values in arguments.
    nodes: usize,
    /// Values that the schema has to answer about itself.
    introspected: usize,
    /// Levels of selection sets and fragments.
    depth: usize,
    /// Fields of the first level.
    fields: usize,
}

struct Measure<'a> {
    document: &'a ExecutableDocument,
    /// Number of values in each variable.
    variables: HashMap<&'a str, usize>,
    /// `None` while a fragment is measured.
    fragments: HashMap<&'a str, Option<Size>>,
}

impl<'a> Measure<'a> {
    fn new(document: &'a ExecutableDocument, variables: &'a Variables) -> Self {
        let given = variables.iter().map(|(name, value)| (name.as_str(), values(value)));
        let mut variables: HashMap<&str, usize> = given.collect();
        let definitions = document.operations.iter().flat_map(|(_, of)| &of.node.variable_definitions);
        for definition in definitions {
            let default = definition.node.default_value.as_ref().map_or(0, |value| values(&value.node));
            let count = variables.entry(&definition.node.name.node).or_default();
            *count = (*count).max(default);
        }
        Self { document, variables, fragments: HashMap::new() }
    }

    /// Measures all definitions, also those that are not used, because validation walks them as well.
    fn document(&mut self) -> Result<(), RequestError> {
        let document = self.document;
        let mut all = Size::default();
        for (_, operation) in document.operations.iter() {
            all.add(self.operation(&operation.node)?)?;
        }
        for name in document.fragments.keys() {
            all.add(self.fragment(name, 0)?)?;
        }
        Ok(())
    }

    fn operation(&mut self, operation: &'a OperationDefinition) -> Result<Size, RequestError> {
        let mut size = self.selections(&operation.selection_set.node, false, 0)?;
        if operation.ty == OperationType::Subscription && size.fields > 1 {
            return Err(RequestError::bad("a subscription has one field; send one for each room"));
        }
        size.nodes += self.directives(&operation.directives);
        for definition in &operation.variable_definitions {
            let default = definition.node.default_value.as_ref().map_or(0, |value| values(&value.node));
            size.nodes += 1 + default + self.directives(&definition.node.directives);
        }
        Ok(size)
    }

    /// `is_schema` is for selections below `__schema` and `__type`.
    fn selections(
        &mut self,
        set: &'a SelectionSet,
        is_schema: bool,
        level: usize,
    ) -> Result<Size, RequestError> {
        if level > limits::GRAPHQL_NESTING_MAX {
            return Err(too_deep());
        }
        let mut sum = Size::default();
        for selection in &set.items {
            let mut size = match &selection.node {
                Selection::Field(field) => {
                    let name = field.node.name.node.as_str();
                    let is_schema = is_schema || matches!(name, "__schema" | "__type");
                    let set = &field.node.selection_set.node;
                    let mut size = match set.items.is_empty() {
                        true => Size::default(),
                        false => self.selections(set, is_schema, level + 1)?.below(),
                    };
                    let count = if is_schema { list_len(name) } else { 1 };
                    size.introspected = size.introspected.saturating_mul(count) + usize::from(is_schema);
                    let arguments = field.node.arguments.iter().map(|(_, value)| &value.node);
                    size.nodes += arguments.map(|value| 1 + self.argument(value)).sum::<usize>();
                    Size { fields: 1, ..size }
                }
                Selection::FragmentSpread(spread) => {
                    self.fragment(&spread.node.fragment_name.node, level + 1)?.below()
                }
                Selection::InlineFragment(fragment) => {
                    self.selections(&fragment.node.selection_set.node, is_schema, level + 1)?.below()
                }
            };
            size.nodes += 1 + self.directives(selection.node.directives());
            sum.add(size)?;
        }
        Ok(sum)
    }

    fn fragment(&mut self, name: &'a Name, level: usize) -> Result<Size, RequestError> {
        // Validation refuses a fragment that is not defined.
        let Some(fragment) = self.document.fragments.get(name) else { return Ok(Size::default()) };
        match self.fragments.entry(name) {
            Entry::Occupied(known) => {
                let size = known
                    .get()
                    .ok_or_else(|| RequestError::bad(format!("the fragment {name} contains itself")))?;
                if level + size.depth > limits::GRAPHQL_NESTING_MAX {
                    return Err(too_deep());
                }
                return Ok(size);
            }
            Entry::Vacant(new) => new.insert(None),
        };
        let is_schema = fragment.node.type_condition.node.on.node.starts_with("__");
        let mut size = self.selections(&fragment.node.selection_set.node, is_schema, level)?;
        size.nodes += self.directives(&fragment.node.directives);
        self.fragments.insert(name, Some(size));
        Ok(size)
    }

    fn directives(&self, directives: &[Positioned<Directive>]) -> usize {
        let arguments = directives.iter().flat_map(|directive| &directive.node.arguments);
        directives.len() + arguments.map(|(_, value)| 1 + self.argument(&value.node)).sum::<usize>()
    }

    fn argument(&self, value: &Value) -> usize {
        match value {
            Value::Variable(name) => 1 + self.variables.get(name.as_str()).copied().unwrap_or(0),
            Value::List(items) => 1 + items.iter().map(|item| self.argument(item)).sum::<usize>(),
            Value::Object(fields) => 1 + fields.values().map(|field| self.argument(field)).sum::<usize>(),
            _ => 1,
        }
    }
}

impl Size {
    /// Of this part as the content of a field or a fragment.
    fn below(self) -> Self {
        Self { depth: self.depth + 1, ..self }
    }

    fn add(&mut self, other: Self) -> Result<(), RequestError> {
        self.nodes += other.nodes;
        self.introspected = self.introspected.saturating_add(other.introspected);
        self.depth = self.depth.max(other.depth);
        self.fields += other.fields;
        if self.nodes > limits::GRAPHQL_NODES_MAX {
            return Err(RequestError::bad(format!(
                "the query has more than {} selections, arguments and directives with its fragments expanded",
                limits::GRAPHQL_NODES_MAX
            )));
        }
        if self.introspected > limits::GRAPHQL_INTROSPECTION_MAX {
            return Err(RequestError::bad(format!(
                "the query asks for more than {} values of the schema",
                limits::GRAPHQL_INTROSPECTION_MAX
            )));
        }
        Ok(())
    }
}

fn values(value: &ConstValue) -> usize {
    match value {
        ConstValue::List(items) => 1 + items.iter().map(values).sum::<usize>(),
        ConstValue::Object(fields) => 1 + fields.values().map(values).sum::<usize>(),
        _ => 1,
    }
}

/// Number of elements in a list of the introspection, on average over this schema. It has no interface, no
/// union and no input object.
fn list_len(field: &str) -> usize {
    match field {
        "types" => 20,
        "fields" => 4,
        "directives" => 4,
        "enumValues" => 2,
        _ => 1,
    }
}

fn too_deep() -> RequestError {
    RequestError::bad(format!("the query is nested more than {} deep", limits::GRAPHQL_NESTING_MAX))
}

#[cfg(test)]
mod tests;
