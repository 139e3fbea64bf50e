//! The functions of the server itself, which clients call on a connection of their own.

use std::sync::Arc;

use super::Shared;
use super::client_loop::catch_panic;
use super::objects::{NoSuchObject, ObjectRef};
use super::request::{Request, no_key, traceback};
use crate::managers::convert::Arguments;
use crate::managers::pickle::{Exception, Value};

/// A function of the server's: what it returns, or the text of a refusal.
type Function = fn(&Shared, Arguments) -> Result<Value, String>;

const FUNCTIONS: &[(&str, Function)] = &[
    ("dummy", Shared::dummy),
    ("create", Shared::create),
    ("incref", Shared::incref),
    ("decref", Shared::decref),
    ("get_methods", Shared::get_methods),
    ("number_of_objects", Shared::number_of_objects),
    ("debug_info", Shared::debug_info),
];

impl Shared {
    pub(super) fn serve_itself(&self, request: Request) -> Result<Value, String> {
        let name = request.method;
        let function = FUNCTIONS.iter().find(|(known, _)| *known == name);
        let (_, function) = function
            .ok_or_else(|| format!("AssertionError: '{name}' unrecognized"))?;
        function(self, Arguments::new(request.args, request.kwargs))
    }

    #[expect(clippy::unused_self, reason = "it stands in the table of functions")]
    fn dummy(&self, args: Arguments) -> Result<Value, String> {
        parse::<()>(args, "dummy")?;
        Ok(Value::None)
    }

    fn create(&self, args: Arguments) -> Result<Value, String> {
        let (mut args, kwargs) = args.into_parts();
        if args.is_empty() {
            return Err(wrong_arguments("create"));
        }
        let Value::Str(typeid) = args.remove(0) else {
            return Err(wrong_arguments("create"));
        };
        let factory = self
            .registry
            .get(typeid.as_str())
            .ok_or_else(|| no_key(&typeid))?;
        let made = factory(Arguments::new(args, kwargs))
            .map_err(|error| traceback(&error))?;
        let object = self.objects().add(&typeid, made);
        Ok((object.ident.as_str(), object.methods()).into())
    }

    /// Takes back the reference of an object whose creator has vanished before it could
    /// learn its name.
    pub(super) fn take_back_created(&self, created: &Value) {
        if let Value::Tuple(parts) = created
            && let Some(Value::Str(ident)) = parts.first()
        {
            let unreferenced = self.objects().decref(ident);
            drop(unreferenced);
        }
    }

    fn incref(&self, args: Arguments) -> Result<Value, String> {
        let (ident,) = parse::<(String,)>(args, "incref")?;
        let done = self.objects().incref(&ident);
        done.map(Value::from).map_err(|NoSuchObject| no_key(&ident))
    }

    fn decref(&self, args: Arguments) -> Result<Value, String> {
        let (ident,) = parse::<(String,)>(args, "decref")?;
        // In a statement of its own: the table must be unlocked when an object without
        // references is dropped.
        let done = self.objects().decref(&ident);
        done.map(|_unreferenced| Value::None)
            .map_err(|NoSuchObject| no_key(&ident))
    }

    fn get_methods(&self, args: Arguments) -> Result<Value, String> {
        let (Value::Token(token),) = parse::<(Value,)>(args, "get_methods")? else {
            return Err(wrong_arguments("get_methods"));
        };
        let object = self.objects().get(&token.ident);
        object
            .map(|object| object.methods())
            .ok_or_else(|| no_key(&token.ident))
    }

    fn number_of_objects(&self, args: Arguments) -> Result<Value, String> {
        parse::<()>(args, "number_of_objects")?;
        Ok(self.objects().count().into())
    }

    fn debug_info(&self, args: Arguments) -> Result<Value, String> {
        parse::<()>(args, "debug_info")?;
        // The objects are asked for their texts once the table is unlocked, as that may
        // take a while.
        let mut objects: Vec<(ObjectRef, usize)> = self
            .objects()
            .referenced()
            .map(|(object, references)| (Arc::clone(object), references))
            .collect();
        objects.sort_by(|(a, _), (b, _)| a.ident.cmp(&b.ident));
        let lines = objects.iter().map(|(object, references)| {
            let text = catch_panic(|| Ok(object.managed.repr()));
            let text = text.unwrap_or_else(|panic| panic.to_string());
            let text: String = text.chars().take(75).collect();
            let ident = &object.ident;
            format!("  {ident}:       refcount={references}\n    {text}")
        });
        Ok(lines.collect::<Vec<_>>().join("\n").into())
    }
}

fn parse<T: crate::managers::FromArgs>(
    args: Arguments,
    function: &str,
) -> Result<T, String> {
    args.parse(function).map_err(|error| traceback(&error))
}

fn wrong_arguments(function: &str) -> String {
    traceback(&Exception::type_error(format!(
        "{function}() got other arguments than it takes"
    )))
}
