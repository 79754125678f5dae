//! Fields of a container in the order in which they are hashed, and when they are left out.

/// A field.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) presence: Presence,
    pub(super) shape: Shape,
}

/// When a field is written.
#[derive(Clone, Copy)]
pub(super) enum Presence {
    /// Unless it is empty: no text, no number, no list.
    Filled,
    /// Unless it is absent.
    Present,
    /// In any case.
    Always,
}

/// What a field holds.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    /// A text, or anything else that is written as it is.
    Text,
    /// A number; 0 where there is none.
    Number,
    /// A text, or `null` where there is none.
    OrNull,
    /// `500m`; 0 where there is none.
    Amount,
    /// [`Self::Amount`]s by name.
    Amounts,
    /// An object of these fields.
    Object(&'static [Field]),
    /// A list of such objects.
    List(&'static [Field]),
}

use Presence::{Always, Filled, Present};
use Shape::{Amount, Amounts, List, Number, Object, OrNull, Text};

const fn field(name: &'static str, presence: Presence, shape: Shape) -> Field {
    Field {
        name,
        presence,
        shape,
    }
}

pub(super) const SIDECAR: &[Field] = &[
    field("name", Always, Text),
    field("image", Filled, Text),
    field("command", Filled, Text),
    field("args", Filled, Text),
    field("workingDir", Filled, Text),
    field("ports", Filled, List(PORT)),
    field("envFrom", Filled, List(ENV_FROM)),
    field("env", Filled, List(ENV)),
    field("resources", Always, Object(RESOURCES)),
    field("resizePolicy", Filled, List(RESIZE_POLICY)),
    field("restartPolicy", Present, Text),
    field("volumeMounts", Filled, List(MOUNT)),
    field("volumeDevices", Filled, List(DEVICE)),
    field("livenessProbe", Present, Object(PROBE)),
    field("readinessProbe", Present, Object(PROBE)),
    field("startupProbe", Present, Object(PROBE)),
    field("lifecycle", Present, Object(LIFECYCLE)),
    field("terminationMessagePath", Filled, Text),
    field("terminationMessagePolicy", Filled, Text),
    field("imagePullPolicy", Filled, Text),
    field("securityContext", Present, Object(SECURITY)),
    field("stdin", Filled, Text),
    field("stdinOnce", Filled, Text),
    field("tty", Filled, Text),
    field("podInjectPolicy", Filled, Text),
    field("upgradeStrategy", Always, Object(UPGRADE)),
    field("shareVolumePolicy", Always, Object(SHARE)),
    field("shareVolumeDevicePolicy", Present, Object(SHARE)),
    field("transferEnv", Filled, List(TRANSFER)),
    field("resourcesPolicy", Present, Object(RESOURCES_POLICY)),
];

const PORT: &[Field] = &[
    field("name", Filled, Text),
    field("hostPort", Filled, Number),
    field("containerPort", Always, Number),
    field("protocol", Filled, Text),
    field("hostIP", Filled, Text),
];

const ENV_FROM: &[Field] = &[
    field("prefix", Filled, Text),
    field("configMapRef", Present, Object(REFERENCE)),
    field("secretRef", Present, Object(REFERENCE)),
];

const REFERENCE: &[Field] = &[
    field("name", Filled, Text),
    field("optional", Present, Text),
];

const ENV: &[Field] = &[
    field("name", Always, Text),
    field("value", Filled, Text),
    field("valueFrom", Present, Object(ENV_SOURCE)),
];

const ENV_SOURCE: &[Field] = &[
    field("fieldRef", Present, Object(FIELD_REF)),
    field("resourceFieldRef", Present, Object(RESOURCE_REF)),
    field("configMapKeyRef", Present, Object(KEY_REF)),
    field("secretKeyRef", Present, Object(KEY_REF)),
];

const FIELD_REF: &[Field] = &[
    field("apiVersion", Filled, Text),
    field("fieldPath", Always, Text),
];

const RESOURCE_REF: &[Field] = &[
    field("containerName", Filled, Text),
    field("resource", Always, Text),
    field("divisor", Always, Amount),
];

const KEY_REF: &[Field] = &[
    field("name", Filled, Text),
    field("key", Always, Text),
    field("optional", Present, Text),
];

const RESOURCES: &[Field] = &[
    field("limits", Filled, Amounts),
    field("requests", Filled, Amounts),
    field("claims", Filled, List(CLAIM)),
];

const CLAIM: &[Field] = &[field("name", Always, Text), field("request", Filled, Text)];

const RESIZE_POLICY: &[Field] = &[
    field("resourceName", Always, Text),
    field("restartPolicy", Always, Text),
];

const MOUNT: &[Field] = &[
    field("name", Always, Text),
    field("readOnly", Filled, Text),
    field("recursiveReadOnly", Present, Text),
    field("mountPath", Always, Text),
    field("subPath", Filled, Text),
    field("mountPropagation", Present, Text),
    field("subPathExpr", Filled, Text),
];

const DEVICE: &[Field] = &[
    field("name", Always, Text),
    field("devicePath", Always, Text),
];

const PROBE: &[Field] = &[
    field("exec", Present, Object(EXEC)),
    field("httpGet", Present, Object(HTTP_GET)),
    field("tcpSocket", Present, Object(TCP_SOCKET)),
    field("grpc", Present, Object(GRPC)),
    field("initialDelaySeconds", Filled, Number),
    field("timeoutSeconds", Filled, Number),
    field("periodSeconds", Filled, Number),
    field("successThreshold", Filled, Number),
    field("failureThreshold", Filled, Number),
    field("terminationGracePeriodSeconds", Present, Number),
];

const LIFECYCLE: &[Field] = &[
    field("postStart", Present, Object(HANDLER)),
    field("preStop", Present, Object(HANDLER)),
];

const HANDLER: &[Field] = &[
    field("exec", Present, Object(EXEC)),
    field("httpGet", Present, Object(HTTP_GET)),
    field("tcpSocket", Present, Object(TCP_SOCKET)),
    field("sleep", Present, Object(SLEEP)),
];

const SLEEP: &[Field] = &[field("seconds", Always, Number)];

const EXEC: &[Field] = &[field("command", Filled, Text)];

const HTTP_GET: &[Field] = &[
    field("path", Filled, Text),
    field("port", Always, Number),
    field("host", Filled, Text),
    field("scheme", Filled, Text),
    field("httpHeaders", Filled, List(HEADER)),
];

const HEADER: &[Field] = &[field("name", Always, Text), field("value", Always, Text)];

const TCP_SOCKET: &[Field] = &[field("port", Always, Number), field("host", Filled, Text)];

const GRPC: &[Field] = &[
    field("port", Always, Number),
    field("service", Always, OrNull),
];

const SECURITY: &[Field] = &[
    field("capabilities", Present, Object(CAPABILITIES)),
    field("privileged", Present, Text),
    field("seLinuxOptions", Present, Object(SE_LINUX)),
    field("windowsOptions", Present, Object(WINDOWS)),
    field("runAsUser", Present, Number),
    field("runAsGroup", Present, Number),
    field("runAsNonRoot", Present, Text),
    field("readOnlyRootFilesystem", Present, Text),
    field("allowPrivilegeEscalation", Present, Text),
    field("procMount", Present, Text),
    field("seccompProfile", Present, Object(PROFILE)),
    field("appArmorProfile", Present, Object(PROFILE)),
];

const CAPABILITIES: &[Field] = &[field("add", Filled, Text), field("drop", Filled, Text)];

const SE_LINUX: &[Field] = &[
    field("user", Filled, Text),
    field("role", Filled, Text),
    field("type", Filled, Text),
    field("level", Filled, Text),
];

const WINDOWS: &[Field] = &[
    field("gmsaCredentialSpecName", Present, Text),
    field("gmsaCredentialSpec", Present, Text),
    field("runAsUserName", Present, Text),
    field("hostProcess", Present, Text),
];

const PROFILE: &[Field] = &[
    field("type", Always, Text),
    field("localhostProfile", Present, Text),
];

const UPGRADE: &[Field] = &[
    field("upgradeType", Filled, Text),
    field("hotUpgradeEmptyImage", Filled, Text),
];

const SHARE: &[Field] = &[field("type", Filled, Text)];

const TRANSFER: &[Field] = &[
    field("sourceContainerName", Filled, Text),
    field("sourceContainerNameFrom", Present, Object(SOURCE_FROM)),
    field("envName", Filled, Text),
    field("envNames", Filled, Text),
];

const SOURCE_FROM: &[Field] = &[field("fieldRef", Present, Object(FIELD_REF))];

const RESOURCES_POLICY: &[Field] = &[
    field("targetContainersMode", Filled, Text),
    field("targetContainersNameRegex", Filled, Text),
    field("resourcesExpr", Always, Object(EXPRESSIONS)),
];

const EXPRESSIONS: &[Field] = &[
    field("limits", Present, Object(EXPRESSION)),
    field("requests", Present, Object(EXPRESSION)),
];

const EXPRESSION: &[Field] = &[field("cpu", Filled, Text), field("memory", Filled, Text)];
