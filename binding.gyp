{
  # The C++ library goes into the binary, except where it is built on the machine that runs it.
  "variables": { "static_cxx%": "true" },
  "targets": [
    {
      "target_name": "weightnorm",
      "sources": [
        "<!@(node -p \"const s = require('./sources.json'); [...s.common, ...s.addon, ...s.cpu].join(' ')\")"
      ],
      "include_dirs": ["native", "<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": ["NAPI_VERSION=9", "NAPI_CPP_EXCEPTIONS", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS", "NODE_API_NO_EXTERNAL_BUFFERS_ALLOWED"],
      "cflags!": ["-fno-exceptions", "-fno-rtti"],
      "cflags_cc!": ["-fno-exceptions", "-fno-rtti", "-std=gnu++17", "-std=gnu++20"],
      "cflags_cc": ["-std=c++20", "-fexceptions", "-ffp-contract=off", "-fvisibility=hidden", "-Wall", "-Wextra"],
      "conditions": [
        ["OS=='linux'", {
          # Relative to build/, because an absolute path may hold spaces.
          "ldflags": ["-Wl,--version-script=../native/exports.map", "-Wl,--gc-sections"],
          "conditions": [["static_cxx=='true'", { "ldflags": ["-static-libstdc++", "-static-libgcc"] }]]
        }],
        ["OS=='mac'", {
          "sources": [
            "<!@(node -p \"require('./sources.json').metal.join(' ')\")",
            "<(INTERMEDIATE_DIR)/kernel_sources.cc"
          ],
          "defines": ["WEIGHTNORM_METAL"],
          "actions": [{
            "action_name": "embed_kernels",
            "inputs": ["scripts/embed-kernels.mjs", "<!@(node -p \"require('./sources.json').metal.join(' ')\")", "<!@(node -p \"require('fs').readdirSync('native/metal/kernels').map(f => 'native/metal/kernels/' + f).join(' ')\")"],
            "outputs": ["<(INTERMEDIATE_DIR)/kernel_sources.cc"],
            "action": ["node", "scripts/embed-kernels.mjs", "<(INTERMEDIATE_DIR)/kernel_sources.cc"]
          }],
          "xcode_settings": {
            "CLANG_CXX_LANGUAGE_STANDARD": "c++20",
            "CLANG_CXX_LIBRARY": "libc++",
            "CLANG_ENABLE_OBJC_ARC": "YES",
            "GCC_ENABLE_CPP_EXCEPTIONS": "YES",
            "GCC_ENABLE_CPP_RTTI": "YES",
            "GCC_OPTIMIZATION_LEVEL": "3",
            "GCC_SYMBOLS_PRIVATE_EXTERN": "YES",
            "GCC_THREADSAFE_STATICS": "YES",
            "MACOSX_DEPLOYMENT_TARGET": "13.0",
            "OTHER_CFLAGS": ["-ffp-contract=off", "-fvisibility=hidden"],
            "OTHER_LDFLAGS": ["-framework Foundation", "-framework Metal", "-framework MetalPerformanceShaders",
              "-Wl,-exported_symbol,_napi_register_module_v1", "-Wl,-exported_symbol,_node_api_module_get_api_version_v1"],
            "DEAD_CODE_STRIPPING": "YES"
          }
        }, {
          "sources": ["<!@(node -p \"require('./sources.json').noMetal.join(' ')\")"]
        }]
      ]
    }
  ]
}
