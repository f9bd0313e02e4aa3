# What the programs are made of, as CycloneDX 1.5 (https://cyclonedx.org). Input: `cargo metadata`; $lock: Cargo.lock;
# $linked: one `name version` a line, what `cargo tree` says is linked; $version; $time; $vendored: files in the tree that
# others made, each a component. tests/package runs it.

def purl: "pkg:cargo/\(.name)@\(.version | gsub("\\+"; "%2B"))";
# Our own are in no registry.
def ref: if .source == null then "\(.name)@\(.version)" else purl end;
def is_program: .source == null and any(.targets[]; .kind | index("bin"));

# Of each crate from the registry, by `name version`.
def checksums:
  [$lock | split("[[package]]")[1:][]
    | (capture("name = \"(?<it>[^\"]+)\"").it) as $name
    | (capture("version = \"(?<it>[^\"]+)\"").it) as $version
    | ((capture("checksum = \"(?<it>[0-9a-f]{64})\"")? // {it: null}).it) as $checksum
    | {key: "\($name) \($version)", value: $checksum}]
  | from_entries;

($linked | rtrimstr("\n") | split("\n") | map({key: ., value: true}) | from_entries) as $is_linked
| checksums as $checksum
| [.packages[] | select($is_linked["\(.name) \(.version)"])] as $crates
| ($crates | map({key: .id, value: ref}) | from_entries) as $refs
| {
    bomFormat: "CycloneDX",
    specVersion: "1.5",
    version: 1,
    metadata: {
      timestamp: $time,
      component: {type: "application", "bom-ref": "usher", name: "usher", version: $version}
    },
    components: (
      [$crates[]
        | "\(.name) \(.version)" as $key
        | {
            type: (if is_program then "application" else "library" end),
            "bom-ref": ref,
            name: .name,
            version: .version,
            licenses: [{expression: (.license | gsub("/"; " OR "))}]
          }
          + (if .source then {purl: purl} else {} end)
          + (if .description then {description: (.description | gsub("\\s+"; " ") | ltrimstr(" ") | rtrimstr(" "))} else {} end)
          + (if $checksum[$key] then {hashes: [{alg: "SHA-256", content: $checksum[$key]}]} else {} end)]
      + $vendored | sort_by(."bom-ref")),
    dependencies: (
      [{ref: "usher", dependsOn: [$crates[] | select(is_program) | ref] | sort}]
      + [.resolve.nodes[] | select($refs[.id])
          | {
              ref: $refs[.id],
              dependsOn: (
                [.deps[] | select(any(.dep_kinds[]; .kind == null)) | $refs[.pkg] | select(.)]
                + (if $refs[.id] == "usherd@\($version)" then [$vendored[]."bom-ref"] else [] end)
                | unique)
            }]
      | sort_by(.ref))
  }
