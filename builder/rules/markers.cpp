#include "builder/rules/markers.h"

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "builder/inspect/tree_file.h"
#include "builder/rules/pip_stub.h"
#include "builder/utf8.h"

namespace firn {
namespace {

std::vector<std::string> MessageLines(const RuledTree& tree) {
  return {"This environment is the Firn image '" + EscapeForText(tree.image) +
              "', which never changes: nothing can be installed in it or removed.",
          "To change it, change what it is made of and make it again:",
          "    " + EscapeForText(tree.rebuild),
          "To add packages for yourself, make a venv on top of it, and activate that:",
          "    python3 -m venv --system-site-packages DIRECTORY",
          "    . DIRECTORY/bin/activate"};
}

// "lib/python3.11", in a layer its base's too.
std::vector<std::string> StandardLibraries(const RuleWork& work) {
  std::vector<std::string> libraries;
  for (const std::string parent : {"lib", "lib64", "usr/lib"}) {
    if (work.TypeOf(parent) != TreeEntry::Type::kDirectory) continue;
    for (const std::string& name : NamesIn(work.At(parent))) {
      const std::string library = parent + "/" + name;
      if (name.starts_with("python3.") && work.TypeOf(library) == TreeEntry::Type::kDirectory &&
          work.TypeOf(library + "/os.py") == TreeEntry::Type::kRegular) {
        libraries.push_back(library);
      }
    }
  }
  return libraries;
}

}  // namespace

void PutMarkers(RuleWork& work) {
  const std::vector<std::string> lines = MessageLines(work.tree());
  std::string text;
  for (const std::string& line : lines) text += (text.empty() ? "" : "\n ") + line;
  const std::vector<std::string> libraries = StandardLibraries(work);
  for (const std::string& library : libraries) {
    work.Write(library + "/EXTERNALLY-MANAGED", "[externally-managed]\nError=" + text + "\n");
  }
  // pip with --break-system-packages would fall back to ~/.local, where every image of this user
  // would find what it installs. pip reads this file beside sys.prefix whatever the environment.
  if (!libraries.empty() && !work.TypeOf("pip.conf")) {
    work.Write("pip.conf", "[install]\nuser = false\n");
  }
  for (const std::string& library : libraries) PutPipStubs(work, library, lines);
  if (work.TypeOf("conda-meta") == TreeEntry::Type::kDirectory) {
    std::string message;
    for (const std::string& line : lines) message += (message.empty() ? "" : "\n") + line;
    const nlohmann::ordered_json json = {{"message", message}};
    work.Write("conda-meta/frozen", json.dump(2) + "\n");
  }
}

}  // namespace firn
