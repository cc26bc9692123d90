#include "mountd/unmount.h"

#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/text.h"
#include "format/error.h"

namespace firn {
namespace {

constexpr char kUnmountFooter[] =
    "Returns when the image is unmounted and its firnd has ended. A mount whose firnd died is\n"
    "cleaned up in the same way.\n"
    "\n"
    "Examples:\n"
    "  firn unmount /mnt/science\n"
    "  firn unmount --lazy /mnt/science     out of sight at once; ends with its last user";

struct UnmountOptions {
  std::vector<std::string> directories;
  bool lazy = false;
};

void Unmount(const UnmountOptions& options) {
  for (const std::string& directory : options.directories) {
    const UnmountResult result = UnmountImage(directory, options.lazy);
    if (result.serving) {
      std::cerr << "firn: note: " << Printable(result.target)
                << " is unmounted, but the image is still in use, in another mount namespace or as "
                   "a lazily unmounted one; firnd "
                << *result.serving << " serves it until the last user ends\n";
    }
  }
}

}  // namespace

void AddUnmountCommand(CLI::App& app, int&) {
  const auto options = std::make_shared<UnmountOptions>();
  CLI::App* unmount = app.add_subcommand("unmount", "Take an image away from its directory");
  unmount->footer(kUnmountFooter);
  unmount->add_option("DIR", options->directories, "Where images are mounted")->required();
  unmount->add_flag("--lazy", options->lazy, "Also while it is in use");
  unmount->callback([options] { Unmount(*options); });
}

}  // namespace firn
