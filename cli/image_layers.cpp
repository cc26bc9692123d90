#include "cli/image_layers.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <sstream>
#include <system_error>

#include "cli/image_file.h"
#include "format/appendix.h"
#include "format/digest.h"
#include "format/error.h"
#include "mountd/view.h"

namespace firn {
namespace {

namespace fs = std::filesystem;

std::string IdOf(const std::string& path) {
  try {
    const FileDescriptor file = OpenImageFile(path);
    const std::optional<Appendix> appendix = Appendix::Read(file.get(), path);
    return appendix ? FormatImageId(appendix->id()) : std::string();
  } catch (const Error&) {
    return {};  // no image that could be meant
  }
}

// Every image of the directory, as their names say; sorted, so that the same one is found each
// time.
std::vector<std::string> ImagesIn(const fs::path& directory) {
  std::vector<std::string> images;
  std::error_code error;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->path().extension() == ".firn") images.push_back(entry->path().string());
  }
  std::sort(images.begin(), images.end());
  return images;
}

std::vector<fs::path> SearchPath(const std::string& beside, const std::vector<std::string>& also) {
  std::vector<fs::path> directories = {fs::absolute(beside).parent_path()};
  directories.insert(directories.end(), also.begin(), also.end());
  const char* given = std::getenv("FIRN_IMAGE_PATH");
  std::istringstream list(given != nullptr ? given : "");
  for (std::string directory; std::getline(list, directory, ':');) {
    if (!directory.empty()) directories.emplace_back(directory);
  }
  return directories;
}

std::string FindById(const std::string& id, const std::string& hint, const std::string& beside,
                     const std::vector<std::string>& also) {
  if (!hint.empty() && IdOf(hint) == id) return hint;
  const std::vector<fs::path> directories = SearchPath(beside, also);
  for (const fs::path& directory : directories) {
    // The name that it had first, as a directory may hold many images.
    const std::string named = (directory / fs::path(hint).filename()).string();
    if (!hint.empty() && IdOf(named) == id) return named;
    for (const std::string& path : ImagesIn(directory)) {
      if (IdOf(path) == id) return path;
    }
  }
  std::string searched;
  for (const fs::path& directory : directories) searched += " " + directory.string();
  throw Error(ErrorKind::kInput,
              "expected the base image " + id + (hint.empty() ? "" : " (" + hint + ")") +
                  ", found none with that id in:" + searched,
              "Put the base beside the image, or name its directory in FIRN_IMAGE_PATH.")
      .WithPath(beside);
}

}  // namespace

std::vector<std::string> LayersOf(const std::string& image,
                                  const std::vector<std::string>& directories) {
  std::vector<std::string> layers = {image};
  for (;;) {
    const FileDescriptor file = OpenImageFile(layers.back());
    const std::optional<Appendix> appendix = Appendix::Read(file.get(), layers.back());
    if (!appendix) break;
    const Manifest manifest = appendix->ReadManifest(file.get());
    if (!manifest.base) break;
    if (layers.size() > kMostBases) {
      throw Error(ErrorKind::kInput,
                  "is a layer over more than " + std::to_string(kMostBases) + " images",
                  "Make one image of them with 'firn flatten'.")
          .WithPath(image);
    }
    layers.push_back(FindById(manifest.base->id, manifest.base->path, layers.back(), directories));
  }
  std::reverse(layers.begin(), layers.end());
  return layers;
}

std::string FindImage(const std::string& path_or_id, const std::string& beside) {
  if (path_or_id.starts_with("sha256:")) return FindById(path_or_id, {}, beside, {});
  return path_or_id;
}

}  // namespace firn
