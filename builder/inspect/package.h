#ifndef FIRN_BUILDER_INSPECT_PACKAGE_H_
#define FIRN_BUILDER_INSPECT_PACKAGE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace firn {

enum class PackageKind { kConda, kDeb, kPython, kR };

// "conda", "deb", "python", "r".
std::string_view PackageKindName(PackageKind kind);

// What an environment says of one of its packages. What it does not say is empty.
struct Package {
  PackageKind kind = PackageKind::kPython;
  std::string name = {};     // as the package writes it
  std::string version = {};  // as the package writes it
  std::string license = {};
  bool license_is_expression = false;  // an SPDX expression, by the package's own word
  std::string origin = {};             // where it was fetched: a URL, without secrets
  std::string installer = {};          // of a Python package: "pip", "uv", "conda"
  std::string part_of = {};            // of a Python package: the conda package that holds it
  bool editable = false;               // of a Python package: its code lies outside
  std::string build = {};              // of a conda package
  std::string channel = {};            // of a conda package: a URL or a name
  std::string subdir = {};             // of a conda package: "linux-64", "noarch"
  std::string architecture = {};       // of a Debian package
  std::string md5 = {};                // of the file that was fetched, hexadecimal
  std::string sha256 = {};             // the same
  uint64_t files = 0;                  // that it installed, by its own list; 0: unknown
  std::string location = {};           // path below the prefix of what says all this

  bool operator==(const Package&) const = default;
};

// What section `packages` holds.
struct PackageList {
  std::vector<Package> packages;  // by kind, name (case apart), version, location
  // Paths below the prefix of what should describe a package and does not: no JSON, no name.
  std::vector<std::string> unreadable;

  void Sort();
  // The same list gives the same text.
  std::string ToJson() const;
  // Throws kDamaged. Keys that are unknown are ignored.
  static PackageList FromJson(std::string_view json);
};

// A Python package's name as indexes compare it (PEP 503): lower case, runs of "-_." as one "-".
std::string NormalizedPythonName(std::string_view name);

// A URL without a user's name and password, and without the token that Anaconda's have ("/t/…/").
std::string WithoutSecrets(std::string_view url);

}  // namespace firn

#endif  // FIRN_BUILDER_INSPECT_PACKAGE_H_
