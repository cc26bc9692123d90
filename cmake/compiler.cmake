# What every target is compiled with: warnings, hardening, the chosen sanitizers.
add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wold-style-cast
                    -Wcast-qual -Woverloaded-virtual -Wimplicit-fallthrough)
if(FIRN_WERROR)
  add_compile_options(-Werror)
endif()

if(FIRN_SANITIZE)
  add_compile_definitions(FIRN_SANITIZED)
  add_compile_options(-fsanitize=${FIRN_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${FIRN_SANITIZE} -fuse-ld=lld)
  if(FIRN_SANITIZE MATCHES thread)
    add_compile_definitions(FIRN_SANITIZED_THREADS)
  endif()
else()
  add_compile_options(-fstack-protector-strong)
  if(CMAKE_BUILD_TYPE MATCHES "Rel")
    add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
  endif()
endif()
if(FIRN_SANITIZE MATCHES address)
  # UBSAN describes every place that it checks: relocated, megabytes are written to at each start of
  # a program, of which the tests make thousands.
  add_compile_options(-fno-pie)
  add_link_options(-no-pie -Wl,-z,relro,-z,now)
else()
  add_compile_options(-fPIE)
  add_link_options(-pie -Wl,-z,relro,-z,now)
endif()
