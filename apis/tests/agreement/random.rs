//! Random specs along the schema: mostly sense, some nonsense.

use serde_json::{Map, Value, json};

/// A generator of numbers, small and the same everywhere; and how many lists deep it is.
pub(crate) struct Random(u64, usize);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, 0)
    }

    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 11) % n as u64).unwrap()
    }

    fn pick(&mut self, from: &[Value]) -> Value {
        from[self.below(from.len())].clone()
    }

    fn nonsense(&mut self) -> Value {
        self.pick(&[
            json!(null),
            json!(-1),
            json!(i64::MAX),
            json!(u64::MAX),
            json!(1.5),
            json!(""),
            json!("ü\u{0}💥"),
            json!("-5%"),
            json!([]),
            json!({}),
            json!([null]),
            json!(true),
        ])
    }

    /// Every 60th value is nonsense, so that about every other spec has one.
    fn value(&mut self, schema: &Value) -> Value {
        if self.below(60) == 0 {
            return self.nonsense();
        }
        if schema["x-kubernetes-int-or-string"] == true {
            return self.pick(&[
                json!(0),
                json!(1),
                json!(7),
                json!("0%"),
                json!("40%"),
                json!("100%"),
                json!("007%"),
                json!("5"),
                json!("101%"),
                json!("12.5%"),
                json!(-2),
            ]);
        }
        if let Some(variants) = schema["enum"].as_array() {
            return self.pick(variants);
        }
        match schema["type"].as_str() {
            Some("object") if schema.get("properties").is_some() => self.object(schema),
            Some("object") if schema.get("additionalProperties").is_some() => self.pick(&[
                json!({}),
                json!({"app": "web"}),
                json!({"a b": "ü", "": ""}),
            ]),
            Some("object") => self.pick(&[json!({}), json!({"metadata": {"name": "data"}})]),
            Some("array") => {
                let n = [0, 1, 1, 2, 3, 70][self.below(6)];
                // Long lists of long lists would cost much and say little.
                let n = if self.1 > 0 { n.min(3) } else { n };
                self.1 += 1;
                let list = (0..n).map(|_| self.value(&schema["items"])).collect();
                self.1 -= 1;
                list
            }
            Some("string") => {
                self.pick(&[json!("a"), json!("web-1"), json!("In"), json!("Exists")])
            }
            Some("boolean") => self.pick(&[json!(true), json!(false)]),
            Some("integer") => self.pick(&[
                json!(0),
                json!(1),
                json!(10),
                json!(600),
                json!(100),
                json!(i32::MAX),
            ]),
            other => panic!("type {other:?}"),
        }
    }

    fn object(&mut self, schema: &Value) -> Value {
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        let mut object = Map::new();
        for (name, property) in schema["properties"].as_object().unwrap() {
            if required.iter().any(|r| r == name) || self.below(3) == 0 {
                object.insert(name.clone(), self.value(property));
            }
        }
        object.into()
    }

    /// A spec of a SidecarSet; most of them with a selector that selects something.
    pub(crate) fn sidecar_spec(&mut self, schema: &Value) -> Value {
        let mut spec = self.value(schema);
        if spec.is_object() && self.below(8) != 0 {
            spec["selector"] = json!({"matchLabels": {"app": "web"}});
            let rich = self.below(3) == 0;
            if !rich {
                let spec = spec.as_object_mut().unwrap();
                spec.retain(|field, _| !["volumes", "patchPodMetadata"].contains(&&**field));
            }
            for list in ["containers", "initContainers"] {
                let Some(containers) = spec[list].as_array_mut() else {
                    spec.as_object_mut().unwrap().remove(list);
                    continue;
                };
                if !rich {
                    containers.truncate(2);
                }
                for (i, container) in containers.iter_mut().enumerate() {
                    if let Some(container) = container.as_object_mut() {
                        container.insert("name".into(), format!("{}-{i}", &list[..1]).into());
                        container.insert("image".into(), "x:1".into());
                        if !rich {
                            container.remove("transferEnv");
                            container.remove("resourcesPolicy");
                        }
                    }
                }
            }
        }
        spec
    }

    /// Now and then a text, such as people write where a number or a truth is meant.
    pub(crate) fn text(&mut self) -> Option<Value> {
        let texts = ["", "true", "false", "5", "007", "-1", "40%", "99999999999"];
        let n = self.below(3 * texts.len());
        texts.get(n).map(|text| json!(text))
    }

    /// A spec that has no chance of being right is of little use: selector and template match.
    pub(crate) fn spec(&mut self, schema: &Value) -> Value {
        let mut spec = self.value(schema);
        if spec.is_object() && self.below(8) != 0 {
            let sense = super::cases::spec();
            spec["selector"] = sense["selector"].clone();
            spec["template"] = sense["template"].clone();
        }
        spec
    }
}
