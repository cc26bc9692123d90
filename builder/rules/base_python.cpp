#include "builder/rules/base_python.h"

#include <sys/wait.h>

#include <nlohmann/json.hpp>

#include "builder/child_process.h"
#include "builder/python_environment.h"
#include "builder/temporary_directory.h"
#include "format/error.h"

namespace firn {
namespace {

// For every Python from 3.3 on. Sites are those of the installation that the Python belongs to,
// whether it runs in a venv or not.
constexpr char kQuestion[] = R"(
import json, os, sys, site, sysconfig
base = sys.base_prefix
site.PREFIXES = [base, sys.base_exec_prefix]
sys.prefix = base
executable = os.path.realpath(sys.executable)
inside = os.path.dirname(os.path.dirname(executable))
if os.path.exists(os.path.join(inside, "pyvenv.cfg")):  # a venv of copies
    name = "bin/python%d.%d" % sys.version_info[:2]
    executable = os.path.realpath(os.path.join(base, name))
places = {"base": base, "platbase": sys.base_exec_prefix, "installed_base": base}
paths = sysconfig.get_paths(vars=places)
print(json.dumps({
    "implementation": sys.implementation.name,
    "version": "%d.%d" % sys.version_info[:2],
    "executable": executable,
    "prefix": base,
    "library": paths["stdlib"],
    "extensions": paths["platstdlib"],
    "include": paths["include"],
    "packages": paths["purelib"],
    "scripts": paths["scripts"],
    "data": paths["data"],
    "sites": site.getsitepackages(),
}))
)";

Error Failure(const std::string& python, const std::string& found) {
  return Error(ErrorKind::kInput, "expected a Python that runs, found " + found,
               "Mend the environment or make it anew; --no-rules takes it as it is.")
      .WithPath(python);
}

}  // namespace

PythonLayout AskPython(const RuleWork& work, const std::string& python) {
  const TemporaryDirectory directory;
  std::string answer;
  int status = 0;
  {
    ChildProcess child({.arguments = {python, "-I", "-S", "-B", "-c", kQuestion},
                        .environment = PythonEnvironment(),
                        .directory = directory.path(),
                        .error_log = directory.path() + "/log"});
    status = child.ReadLines([&](const std::string& line) { answer = line; }, work.tree().poll);
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) throw Failure(python, "one that fails");
  try {
    const nlohmann::json json = nlohmann::json::parse(answer);
    return {.implementation = json.at("implementation"),
            .version = json.at("version"),
            .executable = json.at("executable"),
            .prefix = json.at("prefix"),
            .library = json.at("library"),
            .extensions = json.at("extensions"),
            .include = json.at("include"),
            .packages = json.at("packages"),
            .scripts = json.at("scripts"),
            .data = json.at("data"),
            .sites = json.at("sites")};
  } catch (const nlohmann::json::exception& error) {
    throw Failure(python, std::string("one that answers strangely: ") + error.what());
  }
}

}  // namespace firn
