-- As many requests at a time as the first argument says.
function init(args)
   local requests = {}
   for index = 1, tonumber(args[1]) do
      requests[index] = wrk.format("GET")
   end
   request_text = table.concat(requests)
end

function request()
   return request_text
end
