#include <filesystem>
#include <iostream>
#include <memory>
#include <string>

#include "cli/commands.h"
#include "cli/image_file.h"
#include "cli/image_layers.h"
#include "cli/node.h"
#include "cli/text.h"
#include "mountd/node_client.h"

namespace firn {
namespace {

constexpr char kAttachFooter[] =
    "For the prolog of a job: the image is attached, and its profile read ahead, before the job\n"
    "starts; 'firn run' and 'firn mount' then find it there. It stays until 'firn detach' ends "
    "the\n"
    "lease and the last user is gone. With a layer its bases are attached.\n"
    "\n"
    "Examples:\n"
    "  firn attach --lease job-4711 science.firn\n"
    "  firn detach --lease job-4711";

struct AttachOptions {
  std::string image;
  std::string lease;
  bool foreign = false;
  bool no_prefetch = false;
};

void AttachImage(const AttachOptions& options) {
  NodeClient node = ConnectOrThrow();
  for (const std::string& layer : LayersOf(options.image)) {
    const FileDescriptor image = OpenImageFile(layer);
    const std::string path = std::filesystem::absolute(layer).lexically_normal().string();
    const AttachedView attached = node.Attach({.image = image.get(),
                                               .path = path,
                                               .foreign = options.foreign,
                                               .prefetch = !options.no_prefetch,
                                               .with_view = false,
                                               .lease = LeaseKind::kName,
                                               .name = options.lease});
    std::cout << Printable(path) << " is attached (firnd " << attached.pid << ", slot "
              << attached.slot << "), leased by " << Printable(options.lease) << "\n";
  }
}

}  // namespace

void AddAttachCommand(CLI::App& app, int&) {
  const auto options = std::make_shared<AttachOptions>();
  CLI::App* attach = app.add_subcommand("attach", "Attach an image to the node's firnd");
  attach->footer(kAttachFooter);
  attach->add_option("IMAGE", options->image, "Image file")->required();
  attach->add_option("--lease", options->lease, "Name by which it is detached again")
      ->option_text("NAME")
      ->required();
  attach->add_flag("--foreign", options->foreign,
                   "Take SquashFS files of other programs too; nothing in them is verified");
  attach->add_flag("--no-prefetch", options->no_prefetch,
                   "Do not read ahead what the image's profile says");
  attach->callback([options] { AttachImage(*options); });
}

}  // namespace firn
