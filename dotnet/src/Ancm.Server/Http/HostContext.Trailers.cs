using System;
using System.Text;

using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

using Ancm.Server.Native;

namespace Ancm.Server;

/// <summary>
/// Fields behind the request body. There is no counterpart for responses: over HTTP/1.1 neither
/// IIS nor Kestrel offers one.
/// </summary>
internal abstract unsafe partial class HostContext : IHttpRequestTrailersFeature
{
    private HeaderDictionary? _trailers;

    bool IHttpRequestTrailersFeature.Available => _body.IsOver;

    IHeaderDictionary IHttpRequestTrailersFeature.Trailers
        => !_body.IsOver
            ? throw new InvalidOperationException(
                "The request trailers are not available yet. They may not be available until the full request body is read.")
            : _trailers ??= ReadTrailers(_exchange);

    private HeaderDictionary ReadTrailers(NativeExchange* exchange)
    {
        var trailers = new HeaderDictionary();
        // A host of the contract's first version has no such fields.
        if (exchange is null || !exchange->HasTrailers())
        {
            return trailers;
        }

        foreach (ref readonly var field in new ReadOnlySpan<NativeHeader>(exchange->Trailers, (int)exchange->TrailerCount))
        {
            var value = CachedText.Decode(field.Value.AsSpan(), null, _settings.Latin1Headers);
            trailers.Append(Encoding.ASCII.GetString(field.Name.AsSpan()), value);
        }

        return trailers;
    }
}
