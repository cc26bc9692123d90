#ifndef FIRN_CLI_IMAGE_LAYERS_H_
#define FIRN_CLI_IMAGE_LAYERS_H_

#include <string>
#include <vector>

namespace firn {

// The images that one is made of: those that it is a layer over, the lowest first, and itself last.
// A base is looked for by its id, at the path that it had at the build, beside the layer, in
// `directories`, and in those of FIRN_IMAGE_PATH (as PATH has them). Throws kInput where it is not
// found.
std::vector<std::string> LayersOf(const std::string& image,
                                  const std::vector<std::string>& directories = {});

// The image that is meant by a path, or by an id ("sha256:…") that is looked for beside `beside`
// and in FIRN_IMAGE_PATH. Throws kInput.
std::string FindImage(const std::string& path_or_id, const std::string& beside);

}  // namespace firn

#endif  // FIRN_CLI_IMAGE_LAYERS_H_
