#include "builder/rules/markers.h"

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

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

// "lib/python3.11" for its os.py.
bool IsStandardLibrary(const std::string& path) {
  const std::string directory = ParentOf(path);
  const std::string parent = ParentOf(directory);
  return NameOf(path) == "os.py" && NameOf(directory).starts_with("python3.") &&
         (parent == "lib" || parent == "lib64" || parent == "usr/lib");
}

}  // namespace

void PutMarkers(RuleWork& work) {
  const std::vector<std::string> lines = MessageLines(work.tree());
  std::string text;
  for (const std::string& line : lines) text += (text.empty() ? "" : "\n ") + line;
  const std::vector<TreeEntry> libraries =
      work.Files([](const TreeEntry& file) { return IsStandardLibrary(file.path); });
  for (const TreeEntry& file : libraries) {
    work.Write(ParentOf(file.path) + "/EXTERNALLY-MANAGED",
               "[externally-managed]\nError=" + text + "\n");
  }
  // pip with --break-system-packages would fall back to ~/.local, where every image of this user
  // would find what it installs. pip reads this file beside sys.prefix whatever the environment.
  if (!libraries.empty() && !work.TypeOf("pip.conf")) {
    work.Write("pip.conf", "[install]\nuser = false\n");
  }
  for (const TreeEntry& file : libraries) PutPipStubs(work, ParentOf(file.path), lines);
  if (work.TypeOf("conda-meta") == TreeEntry::Type::kDirectory) {
    std::string message;
    for (const std::string& line : lines) message += (message.empty() ? "" : "\n") + line;
    const nlohmann::ordered_json json = {{"message", message}};
    work.Write("conda-meta/frozen", json.dump(2) + "\n");
  }
}

}  // namespace firn
