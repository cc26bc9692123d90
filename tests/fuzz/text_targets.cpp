// The targets that read texts. What is read must come out the same when it is written and read
// again.

#include <algorithm>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "builder/conda_lock.h"
#include "builder/export/lock_pins.h"
#include "builder/inspect/image_sections.h"
#include "builder/inspect/needs.h"
#include "builder/inspect/package.h"
#include "builder/pixi_lock.h"
#include "builder/python_lock.h"
#include "builder/recipe_text.h"
#include "format/error.h"
#include "format/key.h"
#include "format/manifest.h"
#include "format/profile.h"
#include "tests/fuzz/fuzz_target.h"

namespace firn::fuzz {
namespace {

class TextTarget final : public FuzzTarget {
 public:
  TextTarget(void (*read)(std::string_view text), std::initializer_list<std::string_view> seeds)
      : read_(read), seeds_(seeds.begin(), seeds.end()) {}

  void Run(ByteSpan input) const override { read_(AsText(input)); }

  std::vector<Seed> Seeds() const override {
    std::vector<Seed> seeds;
    for (const std::string_view text : seeds_) {
      seeds.push_back(TextSeeds({text}).front());
      seeds.back().name = "text-" + std::to_string(seeds.size());
    }
    return seeds;
  }

 private:
  void (*const read_)(std::string_view);
  const std::vector<std::string_view> seeds_;
};

void RequireSame(bool is_same, const char* what) {
  if (!is_same) throw std::logic_error(std::string(what) + " is not read as it was written");
}

void ReadProfile(std::string_view text) {
  const Profile profile = Profile::Parse(text, "profile");
  const Profile again = Profile::Parse(profile.ToText(), "again");
  RequireSame(again.entries() == profile.entries(), "a profile");
  const Profile both[] = {profile, again};
  Profile::Merge(both);
}

void ReadManifest(std::string_view text) {
  const std::string written = Manifest::FromYaml(text).ToYaml();
  RequireSame(Manifest::FromYaml(written).ToYaml() == written, "a manifest");
}

void ReadRecipe(std::string_view text) {
  const Recipe recipe = ParseRecipe(std::string(text), "recipe", "/firn-fuzz-no-directory");
  const Recipe again = ParseRecipe(ToYaml(recipe), "again", "/firn-fuzz-no-directory");
  RequireSame(again == recipe, "a recipe");
}

void ReadKey(std::string_view text) {
  try {
    const NamedKey key = NamedKey::Parse(text, "key");
    RequireSame(NamedKey::Parse(key.ToText(), "again").key == key.key, "a key");
  } catch (const Error&) {  // it may be a private one
  }
  // Opening one with a passphrase takes seconds, which is what it is for.
  const auto no_passphrase = []() -> std::string { throw Error(ErrorKind::kInput, "no"); };
  const PrivateKey key = PrivateKey::Parse(text, "key", no_passphrase);
  RequireSame(
      PrivateKey::Parse(key.ToText(""), "again", no_passphrase).named().key == key.named().key,
      "a private key");
}

void ReadPackageSection(std::string_view text) {
  const std::string written = PackageList::FromJson(text).ToJson();
  RequireSame(PackageList::FromJson(written).ToJson() == written, "section packages");
}

void ReadNeedsSection(std::string_view text) {
  const std::string written = Needs::FromJson(text).ToJson();
  RequireSame(Needs::FromJson(written).ToJson() == written, "section needs");
}

void ReadLockSection(std::string_view text) {
  std::vector<std::string> warnings;
  ReadLockPins(ReadLockArchive(text), warnings);
}

// Each kind of lock file in turn.
void ReadLockFiles(std::string_view view) {
  const std::string text(view);
  const auto attempt = [](const auto& read) {
    try {
      read();
    } catch (const Error&) {  // it may be another kind
    }
  };
  attempt([&] { ReadPylock(text, "pylock.toml"); });
  attempt([&] { ReadUvLock(text, "uv.lock"); });
  attempt([&] { ReadCondaLock(text, "conda-lock.yml", "linux-64"); });
  attempt([&] { ReadPixiLock(text, "pixi.lock", "default", "linux-64"); });
  attempt([&] { HasPipSection(text, "environment.yml"); });
  FindUnlockedRequirement(text);
  FindUnlockedUrl(text);
  std::vector<std::string> warnings;
  ReadLockPins({{"uv.lock", text}, {"pylock.toml", text}, {"requirements.txt", text}}, warnings);
}

const TextTarget kProfileTarget(
    ReadProfile, {"firn-profile 1\nlookup bin/python3\nmiss lib/a%20b\n# x\nlist .\nread a 0 9\n"});

const TextTarget kManifestTarget(
    ReadManifest,
    {"format: 1\nname: \"fuzz\"\nprefix: \"/opt/fuzz\"\nkind: conda\nbuilder: \"firn 1\"\ntime: 5\n"
     "compression: {name: zstd, level: 9, block_size: 4096, library: \"1.5.4\"}\n"
     "contents: {files: 1, directories: 2, symlinks: 3, others: 4, hard_links: 5, bytes: 6}\n"
     "python: {version: \"3.11\", compiled: 1, not_compiled: [\"a\"]}\n"
     "base: {id: \"sha256:0\", path: \"/b\"}\nenvironment: {\"A\": \"b\"}\nscratch: [\"T\"]\n"
     "labels: {\"k\": \"v\"}\nbound: [\"x\"]\n",
     "name: &a fuzz\nprefix: /a\nlabels: {x: *a}\nbound: [*a, \"\\u263a\"]\n"});

const TextTarget kRecipeTarget(
    ReadRecipe,
    {"name: science\nversion: \"1\"\nprefix: /opt/science\n"
     "source: {path: x, kind: pylock, tool: uv, python: \"3.12\", resolve: true, options: [-v]}\n"
     "base: base.firn\nenvironment: {A: \"${PREFIX}/a\"}\nexcludes: ['**/*.a', tests]\n"
     "rules: {flatten: false, scripts: true, relocate: true, markers: false, clean: true,\n"
     "  compile: false, strip: true, strict: true}\n"
     "checks:\n- default: false\n- echo ok\n- {command: [a, b], timeout: 5}\n"
     "profile: p\nscratch: [TMPDIR]\nlabels: {owner: me}\n",
     "source: {path: &p /x, kind: directory}\nlabels: {a: *p}\n"});

const TextTarget kKeyTarget(
    ReadKey,
    {"firn-public-key 1\nname fuzz\npublic "
     "ed25519:3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29\n",
     "firn-private-key 1\nname fuzz\npublic "
     "ed25519:3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29\nsecret "
     "0000000000000000000000000000000000000000000000000000000000000000\n",
     "firn-private-key 1\nname fuzz\npublic "
     "ed25519:3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29\n"
     "scrypt 131072 8 1 00000000000000000000000000000000\nsealed 000000000000000000000000 "
     "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
     "000\n"});

const TextTarget kPackagesTarget(
    ReadPackageSection,
    {R"({"format":1,"packages":[{"kind":"python","name":"numpy","version":"1.24","license":"BSD",)"
     R"("license_is_expression":true,"origin":"https://x","editable":true,"files":3},)"
     R"({"kind":"conda","name":"zlib","version":"1","build":"h0","md5":"0"}],"unreadable":["x"]})"});

const TextTarget kNeedsTarget(
    ReadNeedsSection,
    {R"({"format":1,"elf_files":2,"architecture":"x86_64","other_architectures":{"aarch64":1},)"
     R"("x86_64_level":{"level":3,"needed_by":"a"},"interpreters":[{"path":"/lib64/ld.so",)"
     R"("in_image":false,"files":1,"needed_by":["a"]}],"host_libraries":[{"name":"libc.so.6",)"
     R"("versions":{"GLIBC":{"version":"2.34","needed_by":"a"}},"files":1,"needed_by":["a"]}],)"
     R"("image_libraries":["l"],"unsearched":[{"name":"n","path":"p","files":1,"needed_by":["q"]}],)"
     R"("damaged":{"files":1,"needed_by":["d"]},"required":{"main_programs":["bin/python3"]}})"});

const TextTarget kLocksTarget(
    ReadLockFiles,
    {"version = 1\n[[package]]\nname = \"a\"\nversion = \"1\"\nsource = { registry = \"https://x\" "
     "}\n"
     "wheels = [{ url = \"https://x/a.whl\", hash = \"sha256:00\" }]\nsdist = { path = \"b\" }\n",
     "lock-version = \"1.0\"\n[[packages]]\nname = \"a\"\nversion = \"1\"\n"
     "[[packages.wheels]]\nurl = \"u\"\nhashes = {sha256 = \"00\"}\n",
     "version: 1\npackage:\n- {name: a, platform: linux-64, url: 'https://x/a.conda', category: "
     "main,\n"
     "   hash: {md5: 00000000000000000000000000000000}}\n- {name: b, manager: pip}\n",
     "a[x]==1 ; python_version > '3' \\\n    --hash=sha256:00\n-r other.txt\n# c\n",
     "@EXPLICIT\nhttps://x/a.conda#00000000000000000000000000000000\n",
     "dependencies: [python, {pip: [a]}]\n",
     "version: 6\nenvironments:\n  default:\n    packages:\n      linux-64:\n"
     "      - conda: https://e/linux-64/a-1-0.conda\n      - pypi: https://e/c.whl\n"
     "packages:\n- conda: https://e/linux-64/a-1-0.conda\n  sha256: '01'\n  md5: '02'\n"
     "- pypi: https://e/c.whl\n  name: c\n  version: '1'\n  sha256: '04'\n"});

// A tar archive; the checksums of its headers are made anew.
class LockArchiveTarget final : public FuzzTarget {
 public:
  void Run(ByteSpan input) const override {
    std::string archive(AsText(input));
    for (size_t at = 0; at + kBlock <= archive.size();) {
      const std::span<char> header = std::span(archive).subspan(at, kBlock);
      PutChecksum(header);
      at += kBlock + SizeIn(header);
    }
    ReadLockSection(archive);
  }

  std::vector<Seed> Seeds() const override {
    std::vector<Seed> seeds;
    for (const char type : {'0', 'S', 'x'}) {
      std::string archive(3 * kBlock, '\0');
      archive.replace(0, 7, "uv.lock");
      archive.replace(100, 24, "0000644\0000000000\0000000000\0", 24);
      archive.replace(124, 12, "00000000013\0", 12);
      archive.replace(136, 12, "00000000000\0", 12);
      archive[156] = type;
      archive.replace(257, 8, type == 'S' ? "ustar  " : "ustar", type == 'S' ? 8 : 5);
      archive.replace(kBlock, 11, "version = 1");
      seeds.push_back(TextSeeds({archive}).front());
      seeds.back().name = std::string("tar-") + type;
    }
    return seeds;
  }

 private:
  static constexpr size_t kBlock = 512;

  static void PutChecksum(std::span<char> header) {
    std::fill_n(header.begin() + 148, 8, ' ');
    unsigned sum = 0;
    for (const char c : header) sum += static_cast<unsigned char>(c);
    for (int digit = 5; digit >= 0; --digit, sum >>= 3) {
      header[static_cast<size_t>(148 + digit)] = static_cast<char>('0' + (sum & 7));
    }
    header[154] = '\0';
  }

  // Of the content, in whole blocks.
  static size_t SizeIn(std::span<const char> header) {
    size_t size = 0;
    for (const char c : header.subspan(124, 11)) {
      if (c >= '0' && c <= '7') size = size * 8 + static_cast<size_t>(c - '0');
    }
    return (size + kBlock - 1) / kBlock * kBlock;
  }
};

const LockArchiveTarget kLockArchiveTarget;

}  // namespace

std::span<const NamedTarget> TextTargets() {
  static const NamedTarget kTargets[] = {
      {"profile", &kProfileTarget},   {"manifest", &kManifestTarget},
      {"recipe", &kRecipeTarget},     {"key", &kKeyTarget},
      {"packages", &kPackagesTarget}, {"needs", &kNeedsTarget},
      {"lock_files", &kLocksTarget},  {"lock_archive", &kLockArchiveTarget},
  };
  return kTargets;
}

}  // namespace firn::fuzz
