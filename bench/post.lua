-- A POST of as many bytes as the first argument says.
function init(args)
   local size = tonumber(args[1])
   request_text = wrk.format("POST", nil, { ["Content-Type"] = "application/octet-stream" },
      string.rep("x", size))
end

function request()
   return request_text
end
