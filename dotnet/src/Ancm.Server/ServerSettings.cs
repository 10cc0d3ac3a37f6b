using System;
using System.Globalization;

using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Logging;

using Ancm.Server.Native;

namespace Ancm.Server;

/// <summary>What a request needs to know about the server; fixed before the first one.</summary>
internal sealed class ServerSettings
{
    private const string Latin1Switch = "Microsoft.AspNetCore.Server.IIS.Latin1RequestHeaders";

    internal ServerSettings(IISServerOptions options, ILogger logger)
    {
        Logger = logger;
        MaxRequestBodySize = options.MaxRequestBodySize;
        HostBodyLimit = long.TryParse(NativeApi.Property("body.limit"), CultureInfo.InvariantCulture, out var limit) ? limit : null;
        AllowSynchronousIO = options.AllowSynchronousIO;
        Latin1Headers = AppContext.TryGetSwitch(Latin1Switch, out var latin1) && latin1;
        WebSockets = NativeApi.Property("websockets") != "false";
    }

    internal ILogger Logger { get; }

    internal long? MaxRequestBodySize { get; }

    /// <summary>What the worker itself lets through, if it has a limit of its own.</summary>
    internal long? HostBodyLimit { get; }

    internal bool AllowSynchronousIO { get; }

    internal bool Latin1Headers { get; }

    internal bool WebSockets { get; }
}
