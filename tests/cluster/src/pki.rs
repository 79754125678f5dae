//! The certificates and kubeconfigs of one cluster. They live and die with its folder.

use std::{net::IpAddr, path::Path};

use base64::{Engine, prelude::BASE64_STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

use crate::{
    command,
    error::Result,
    spec::{REAL_NODE, SERVICE_IP, Spec},
};

struct Identity {
    file: &'static str,
    user: &'static str,
    group: Option<&'static str>,
}

const SYSTEM_NODE: &str = "system:node:node-1";

const IDENTITIES: &[Identity] = &[
    Identity {
        file: "admin",
        user: "admin",
        group: Some("system:masters"),
    },
    // kwok acts for many nodes at once, which no node identity may do.
    Identity {
        file: "kwok",
        user: "kwok",
        group: Some("system:masters"),
    },
    Identity {
        file: "controller-manager",
        user: "system:kube-controller-manager",
        group: None,
    },
    Identity {
        file: "scheduler",
        user: "system:kube-scheduler",
        group: None,
    },
    Identity {
        file: "proxy",
        user: "system:kube-proxy",
        group: None,
    },
    Identity {
        file: "node",
        user: SYSTEM_NODE,
        group: Some("system:nodes"),
    },
];

/// Writes `pki/` and one kubeconfig per identity into the cluster's folder.
pub(crate) fn write(spec: &Spec) -> Result<()> {
    let dir = spec.dir.join("pki");
    command::create_folder(&dir)?;
    let authority_key = KeyPair::generate()?;
    let mut authority = parameters("insitu-test-authority", None);
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    let authority_pem = authority.self_signed(&authority_key)?.pem();
    command::write(&dir.join("ca.crt"), &authority_pem)?;
    write_key(&dir, "ca", &authority_key)?;
    let issuer = Issuer::new(authority, authority_key);

    let service_accounts = KeyPair::generate()?;
    write_key(&dir, "service-accounts", &service_accounts)?;
    command::write(
        &dir.join("service-accounts.pub"),
        service_accounts.public_key_pem(),
    )?;

    let mut server = parameters("kube-apiserver", None);
    server.subject_alt_names = names(
        &[
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
        ],
        &[
            IpAddr::V4(spec.address),
            IpAddr::from([127, 0, 0, 1]),
            IpAddr::from([10, 96, 0, 1]),
        ],
    )?;
    debug_assert_eq!(SERVICE_IP, "10.96.0.1");
    issue(&dir, "apiserver", server, &issuer)?;

    for identity in IDENTITIES {
        let mut client = parameters(identity.user, identity.group);
        if identity.file == "node" {
            // The kubelet serves exec and logs with the same certificate.
            client.subject_alt_names = names(&[REAL_NODE], &[IpAddr::V4(spec.address)])?;
        }
        let (certificate, key) = issue(&dir, identity.file, client, &issuer)?;
        // Only the admin's file is for processes outside of the cluster's network namespace.
        let host = if identity.file == "admin" {
            spec.address.to_string()
        } else {
            "127.0.0.1".into()
        };
        let server = format!("https://{host}:{}", spec.ports.api);
        let text = kubeconfig(&server, &authority_pem, &certificate, &key);
        command::write(
            &spec.dir.join(format!("{}.kubeconfig", identity.file)),
            text,
        )?;
    }
    Ok(())
}

fn parameters(user: &str, group: Option<&str>) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, user);
    if let Some(group) = group {
        parameters
            .distinguished_name
            .push(DnType::OrganizationName, group);
    }
    parameters.not_before = rcgen::date_time_ymd(2024, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(2049, 1, 1);
    parameters
}

fn names(dns: &[&str], addresses: &[IpAddr]) -> Result<Vec<SanType>> {
    let mut names: Vec<SanType> = addresses.iter().map(|ip| SanType::IpAddress(*ip)).collect();
    for name in dns {
        names.push(SanType::DnsName((*name).try_into()?));
    }
    Ok(names)
}

fn issue(
    dir: &Path,
    file: &str,
    mut parameters: CertificateParams,
    issuer: &Issuer<'_, KeyPair>,
) -> Result<(String, String)> {
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ClientAuth,
        ExtendedKeyUsagePurpose::ServerAuth,
    ];
    let key = KeyPair::generate()?;
    let certificate = parameters.signed_by(&key, issuer)?.pem();
    command::write(&dir.join(format!("{file}.crt")), &certificate)?;
    write_key(dir, file, &key)?;
    Ok((certificate, key.serialize_pem()))
}

fn write_key(dir: &Path, file: &str, key: &KeyPair) -> Result<()> {
    command::write(&dir.join(format!("{file}.key")), key.serialize_pem())
}

fn kubeconfig(server: &str, authority: &str, certificate: &str, key: &str) -> String {
    let [authority, certificate, key] =
        [authority, certificate, key].map(|pem| BASE64_STANDARD.encode(pem));
    format!(
        "apiVersion: v1
kind: Config
current-context: insitu
contexts: [{{name: insitu, context: {{cluster: insitu, user: insitu}}}}]
clusters:
- name: insitu
  cluster: {{server: \"{server}\", certificate-authority-data: {authority}}}
users:
- name: insitu
  user: {{client-certificate-data: {certificate}, client-key-data: {key}}}
"
    )
}
