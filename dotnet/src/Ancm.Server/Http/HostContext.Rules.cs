using System;
using System.Globalization;

using Microsoft.AspNetCore.Http;
using Microsoft.Net.Http.Headers;

namespace Ancm.Server;

/// <summary>What an app may not do with its response, in the words of Kestrel where apps may know them.</summary>
internal abstract partial class HostContext
{
    /// <summary>Largest number of body bytes that the app has announced, if it has.</summary>
    internal long? DeclaredLength => _responseHeaders.ContentLength;

    /// <summary>Whether the app frames the body itself, so that a length does not count (RFC 9112 6.3).</summary>
    internal bool HasOwnCoding => _responseHeaders.ContainsKey(HeaderNames.TransferEncoding);

    /// <summary>Throws when the connection is the upgrade's, and its stream the only way to write.</summary>
    internal void CheckNotUpgraded()
    {
        if (_body.IsUpgraded)
        {
            throw new InvalidOperationException("Cannot write to response body after connection has been upgraded.");
        }
    }

    /// <summary>Throws when this response has no body by definition.</summary>
    internal void CheckBodyAllowed()
    {
        if (!StatusHasBody)
        {
            throw new InvalidOperationException(string.Create(
                CultureInfo.InvariantCulture,
                $"Writing to the response body is invalid for responses with status code {_status}."));
        }
    }

    private bool StatusHasBody
        => _body.IsUpgraded || _status is >= 200 and not (204 or 205 or 304);

    /// <summary>
    /// Frames the body as Kestrel does: an app that ends without a byte has a length of 0, and one that
    /// announces none has chunks, also when all of it is there by now. HEAD is told of chunks where
    /// that is known by then. True for chunks.
    /// </summary>
    private unsafe bool Frame(bool isOver)
    {
        if (_responseHeaders.ContentLength is not null || _body.IsUpgraded || !StatusHasBody || HasOwnCoding)
        {
            return false;
        }

        if (IsHead ? !_writer.HasAdvanced : isOver && _writer.Length == 0)
        {
            _responseHeaders.ContentLength = IsHead ? null : 0;
            return false;
        }

        if (_exchange->Version >= 0x0101)
        {
            return true;
        }

        // HTTP/1.0 knows no chunks: the end of the connection is that of the body.
        CloseAfterResponse();
        return false;
    }

    /// <summary>Fewer bytes than announced leave the client waiting, so that is an error.</summary>
    private InvalidOperationException? LengthError()
    {
        var isLongEnough = _writer.Length >= _responseHeaders.ContentLength.GetValueOrDefault();
        return isLongEnough || IsHead || IsAborted || !StatusHasBody || HasOwnCoding
            ? null
            : new InvalidOperationException(string.Create(
                CultureInfo.InvariantCulture,
                $"Response Content-Length mismatch: too few bytes written ({_writer.Length} of {_responseHeaders.ContentLength})."));
    }

    /// <summary>A length is only allowed where it says something, or nothing.</summary>
    private void CheckLengthOfNoBody(long length)
    {
        if (length > 0 && _status == StatusCodes.Status205ResetContent)
        {
            throw new InvalidOperationException("Responses with status code 205 cannot have a non-zero Content-Length value.");
        }

        if (length > 0 && (_status is < 200 or StatusCodes.Status204NoContent))
        {
            throw new InvalidOperationException(string.Create(
                CultureInfo.InvariantCulture,
                $"Setting the header Content-Length is not allowed on responses with status code {_status}."));
        }
    }

    /// <summary>Nor may a body that there is not be coded by the app itself.</summary>
    private void CheckCoding()
    {
        if ((IsHead || !StatusHasBody) && _status >= StatusCodes.Status200OK && HasOwnCoding)
        {
            throw new InvalidOperationException(string.Create(
                CultureInfo.InvariantCulture,
                $"Setting the header Transfer-Encoding is not allowed on responses with status code {_status}."));
        }
    }

    /// <summary>Whoever announces one length and writes another is not trusted with a connection.</summary>
    internal InvalidOperationException TooManyBytes(long written, long declared)
    {
        CloseUnlessStarted();
        return new(string.Create(
            CultureInfo.InvariantCulture,
            $"Response Content-Length mismatch: too many bytes written ({written} of {declared})."));
    }

    /// <summary>What failed before it started is answered with an error and nothing else.</summary>
    private void ThrowIfFailed()
    {
        if (_error is not null)
        {
            throw new ObjectDisposedException(
                "The response has been aborted due to an unhandled application exception.", _error);
        }
    }

    private void ThrowIfStarted(string what)
    {
        if (HasStarted)
        {
            throw new InvalidOperationException($"{what} cannot be set because the response has already started.");
        }
    }
}
